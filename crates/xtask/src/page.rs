//! The page: its packages, its build, and a server for it on this machine only.

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::http;
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
/// When the build fails or the port is taken.
pub(crate) fn serve(port: Option<u16>) -> Result<()> {
    let listener = listen(port)?;
    build()?;
    say("serving the page; end with Ctrl-C");
    println!("\n    http://{}/\n", listener.local_addr()?);
    http::serve(&listener, &web().join("dist"))
}

/// `cargo xtask serve --dev`: Vite's development server, which builds on demand and reloads.
///
/// # Errors
/// When set-up fails, the port is taken or the server ends by itself.
pub(crate) fn develop(port: Option<u16>) -> Result<()> {
    let node = prepare()?;
    let port = listen(port)?.local_addr()?.port();
    say("starting the development server; end with Ctrl-C");
    let status = node
        .node()
        .arg(web().join("node_modules/vite/bin/vite.js"))
        .args([
            "--host",
            "127.0.0.1",
            "--strictPort",
            "--port",
            &port.to_string(),
        ])
        .current_dir(web())
        .status()
        .context("start the development server")?;
    bail!("the development server ended: {status}");
}

/// The port asked for, or the first free one from 8080, on this machine only.
fn listen(asked: Option<u16>) -> Result<TcpListener> {
    let bind = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    match asked {
        Some(port) => bind(port).with_context(|| {
            format!("port {port} can't be had; name another with --port, or none")
        }),
        None => (8080..8180)
            .find_map(|port| bind(port).ok())
            .context("no free port from 8080 to 8179"),
    }
}
