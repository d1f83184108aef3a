//! The project's own tool: sets up what a fresh machine lacks, serves the page, runs every test.
//!
//! Run it as `cargo xtask <verb>`; `cargo xtask help` lists the verbs. It installs under
//! `target/tools`, logs to `target/xtask-logs`, and says what it does as it goes.

#![forbid(unsafe_code)]

mod bench;
mod firmware;
mod http;
mod page;
mod paths;
mod run;
mod setup;
mod sizes;
mod stages;
mod stamp;
mod test;
mod tidy;
mod wasm;
mod wire;

use std::process::ExitCode;

use anyhow::{Context, Result, bail};

const HELP: &str = "\
cargo xtask <verb>

  serve [--port N] [--dev]   set up, build and serve the page on this machine
                             (--dev: the development server, which reloads on changes)
  wasm                       build the page's module into pkg/dist
  page                       build the module and the page into web/dist
  firmware [VERB]            build (the default), run, selftest, check or update the firmware
  bench device [--layers]    what layers and networks cost on the chip, from the emulator
                             (--layers: every layer of the networks)
  bench wire                 what flashing sends and waits for, beside esptool where there is one
  bench accuracy [NAME]      accuracy of the public models of shared/, in int8 and int16
  bench emulator             instructions a second that the emulator executes
  test                       everything there is to test
  test STAGE...              some of it: tidy fmt lint host no_std wasm xtensa prebuilt page size
";

fn main() -> ExitCode {
    if let Some(code) = firmware::stand_in_for_rustc() {
        return code;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match dispatch(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(words: &[&str]) -> Result<()> {
    match words {
        ["serve", options @ ..] => {
            let (mut port, mut develop) = (None, false);
            let mut rest = options.iter();
            while let Some(option) = rest.next() {
                match *option {
                    "--port" => {
                        let number = rest.next().context("--port needs a number")?;
                        port = Some(
                            number
                                .parse()
                                .context("--port needs a number up to 65535")?,
                        );
                    }
                    "--dev" => develop = true,
                    other => bail!("serve doesn't know `{other}`\n\n{HELP}"),
                }
            }
            if develop {
                page::develop(port)
            } else {
                page::serve(port)
            }
        }
        ["wasm"] => wasm::build(),
        ["page"] => page::build().map(|_| ()),
        ["firmware", verb @ ..] => firmware::dispatch(verb),
        ["bench", what @ ..] => bench::dispatch(what),
        ["test", stages @ ..] => test::run(stages),
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            Ok(())
        }
        other => bail!("`{}` is not a verb\n\n{HELP}", other.join(" ")),
    }
}
