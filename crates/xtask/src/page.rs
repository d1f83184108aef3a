//! The page: its packages, its build, and a server for it on this machine only.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::paths;
use crate::run::{self, say};
use crate::setup::Node;
use crate::stamp::Stamp;
use crate::wasm;

fn web() -> PathBuf {
    paths::root().join("web")
}

/// Builds the module and the page, what has changed of them.
///
/// # Errors
/// When set-up, compilation or the page's build fails.
pub(crate) fn build() -> Result<Node> {
    let node = prepare()?;
    let inputs = [
        web(),
        paths::root().join("pkg"),
        wasm::dist(),
        paths::root().join("firmware/prebuilt"),
    ];
    let stamp = Stamp::of("page", &inputs, "");
    if stamp.is_current() && web().join("dist/index.html").exists() {
        return Ok(node);
    }
    run::logged(
        "page: build",
        node.npm().args(["run", "build"]).current_dir(web()),
    )?;
    stamp.save()?;
    Ok(node)
}

/// The module and the page's packages, which is all the development server needs.
fn prepare() -> Result<Node> {
    let node = Node::ready()?;
    wasm::build()?;
    node.install_packages("web", &web())?;
    Ok(node)
}

/// `cargo xtask serve`: builds the page and serves it until interrupted.
///
/// # Errors
/// When the build fails or the server ends by itself.
pub(crate) fn serve(port: Option<u16>, develop: bool) -> Result<()> {
    let node = if develop { prepare()? } else { build()? };
    let port = free_port(port)?;
    let mut server = start(&node, port, develop)?;
    say("the page is served; end with Ctrl-C");
    println!("\n    http://127.0.0.1:{port}/\n");
    let status = server.wait()?;
    bail!("the page's server ended: {status}");
}

fn start(node: &Node, port: u16, develop: bool) -> Result<Child> {
    let vite = web().join("node_modules/vite/bin/vite.js");
    let mut command: Command = node.node();
    command.arg(vite);
    if !develop {
        command.arg("preview");
    }
    let mut child = command
        .args([
            "--host",
            "127.0.0.1",
            "--strictPort",
            "--port",
            &port.to_string(),
        ])
        .args(["--logLevel", if develop { "info" } else { "warn" }])
        .current_dir(web())
        .stdin(Stdio::null())
        .spawn()
        .context("start the page's server")?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let begun = Instant::now();
    while !answers(address) {
        if let Some(status) = child.try_wait()? {
            bail!("the page's server ended at once: {status}");
        }
        if begun.elapsed() > Duration::from_secs(60) {
            child.kill().ok();
            bail!("the page's server did not answer on port {port} within a minute");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(child)
}

fn answers(address: SocketAddr) -> bool {
    use std::io::Write;
    let ask = || -> std::io::Result<()> {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"GET / HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")?;
        stream.read_exact(&mut [0; 4])
    };
    ask().is_ok()
}

/// The port asked for, which must be free, or the first free one from 8080.
fn free_port(asked: Option<u16>) -> Result<u16> {
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    match asked {
        Some(port) if free(&port) => Ok(port),
        Some(port) => bail!("port {port} is in use; name another with --port, or none"),
        None => (8080..8180)
            .find(free)
            .context("no free port from 8080 to 8179"),
    }
}
