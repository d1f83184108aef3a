//! From a model file to a board's answers, over TCP: `board`, `flash` and `run` as scripts call them.

mod pack;
mod place;

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use fixpoint_dataset::npy::Values;
use place::{fixture, folder};

fn fixpoint(args: &[&dyn AsRef<OsStr>]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fixpoint"));
    command.args(args.iter().map(|arg| arg.as_ref()));
    command.output().unwrap()
}

/// What a command that worked said on stderr.
fn done(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    said
}

/// What a command that failed said on stderr.
fn failed(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    said
}

/// `fixpoint emulate` in the background, ended with the test.
struct Served {
    child: Child,
    address: String,
}

impl Served {
    fn start(args: &[&dyn AsRef<OsStr>]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fixpoint"));
        command.args(["emulate", "--listen", "tcp://127.0.0.1:0"]);
        command.args(args.iter().map(|arg| arg.as_ref()));
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut address = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut address).unwrap();
        Served {
            child,
            address: address.trim().to_owned(),
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Quantized {
    model: PathBuf,
    input: PathBuf,
}

fn quantize(model: &str, bits: &str, folder: &Path) -> Quantized {
    let source = fixture(model);
    let input = source.join("input.npy");
    let out = folder.join("out");
    let onnx = source.join("model.onnx");
    done(&fixpoint(&[
        &"quantize",
        &onnx,
        &"--calib",
        &input,
        &"--bits",
        &bits,
        &"--out",
        &out,
    ]));
    Quantized {
        model: out.join("model.fxp"),
        input,
    }
}

#[test]
fn a_flashed_board_gives_the_simulators_bits() {
    for (fixture, bits) in [("mlp", "16"), ("tf2onnx_cnn", "8")] {
        let folder = folder(&format!("board-{fixture}-{bits}"));
        let Quantized { model, input } = quantize(fixture, bits, &folder);
        let flash = folder.join("flash.bin");
        let board = Served::start(&[&"--flash", &flash]);
        let port = &board.address;

        let said = done(&fixpoint(&[&"flash", &"--port", port, &"--model", &model]));
        assert!(said.contains("no reset lines"), "{said}");
        assert!(said.contains("ESP32-S3 at 240 MHz"), "it answered: {said}");

        for (raw, name) in [(true, "raw"), (false, "float")] {
            let (ours, theirs) = (
                folder.join(format!("board-{name}.npz")),
                folder.join(format!("simulator-{name}.npz")),
            );
            let mut run: Vec<&dyn AsRef<OsStr>> = vec![
                &"run",
                &"--port",
                port,
                &"--input",
                &input,
                &"--output",
                &ours,
            ];
            let mut simulate: Vec<&dyn AsRef<OsStr>> = vec![
                &"simulate",
                &model,
                &"--input",
                &input,
                &"--output",
                &theirs,
            ];
            if raw {
                run.push(&"--raw");
                simulate.push(&"--raw");
            }
            done(&fixpoint(&run));
            done(&fixpoint(&simulate));
            assert_eq!(
                fs::read(&ours).unwrap(),
                fs::read(&theirs).unwrap(),
                "{fixture} {bits} {name}"
            );
        }
        layer_by_layer(port, &input, &model, &folder);
        drop(board);

        // What was flashed outlives the board's power.
        let board = Served::start(&[&"--flash", &flash]);
        let output = folder.join("again.npz");
        done(&fixpoint(&[
            &"run",
            &"--port",
            &board.address,
            &"--input",
            &input,
            &"--output",
            &output,
        ]));
        assert_eq!(
            fs::read(&output).unwrap(),
            fs::read(folder.join("board-float.npz")).unwrap()
        );
    }
}

/// Every layer is compared with the simulator and written; the last one is the output.
fn layer_by_layer(port: &str, input: &Path, model: &Path, folder: &Path) {
    let (output, layers) = (folder.join("traced.npy"), folder.join("layers"));
    let run = fixpoint(&[
        &"run",
        &"--port",
        &port,
        &"--input",
        &input,
        &"--output",
        &output,
        &"--raw",
        &"--compare",
        &model,
        &"--dump",
        &layers,
    ]);
    if String::from_utf8_lossy(&run.stderr).contains("older firmware") {
        println!("skipped: layer by layer, which the firmware in firmware/prebuilt can't");
        return;
    }
    done(&run);
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(said.contains("layers equal the simulator's"), "{said}");
    let mut dumped: Vec<PathBuf> = fs::read_dir(&layers)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    dumped.sort();
    let last = fs::read(dumped.last().unwrap()).unwrap();
    let whole = fs::read(&output).unwrap();
    // Both are version 1 with a header of 128 bytes; the output has all samples.
    assert_eq!(last[128..], whole[128..last.len()]);
}

/// The sum of three inputs, 2 x 5 each.
#[test]
fn a_board_takes_several_inputs() {
    let folder = folder("board-several");
    let onnx = fixture("nodes/sum_of_three/model.onnx");
    let input = folder.join("inputs.npz");
    let row = |k: usize| -> Vec<f32> {
        (0..20)
            .map(|i| ((i * 7 + k * 11) % 33) as f32 / 16.0 - 1.0)
            .collect()
    };
    let rows = [row(0), row(1), row(2)];
    let shape: &[usize] = &[2, 2, 5];
    pack::npz(
        &input,
        &[
            ("i1", shape, Values::F32(&rows[1])),
            ("i0", shape, Values::F32(&rows[0])),
            ("i2", shape, Values::F32(&rows[2])),
        ],
    );
    let out = folder.join("out");
    done(&fixpoint(&[
        &"quantize",
        &onnx,
        &"--calib",
        &input,
        &"--out",
        &out,
    ]));
    let model = out.join("model.fxp");
    let board = Served::start(&[&"--flash", &folder.join("flash.bin")]);
    let port = &board.address;
    done(&fixpoint(&[&"flash", &"--port", port, &"--model", &model]));
    let (ours, theirs) = (folder.join("board.npy"), folder.join("simulator.npy"));
    done(&fixpoint(&[
        &"run",
        &"--port",
        port,
        &"--input",
        &input,
        &"--output",
        &ours,
    ]));
    done(&fixpoint(&[
        &"simulate",
        &model,
        &"--input",
        &input,
        &"--output",
        &theirs,
    ]));
    assert_eq!(fs::read(&ours).unwrap(), fs::read(&theirs).unwrap());
}

#[test]
fn a_board_that_runs_its_application_is_not_flashed() {
    let folder = folder("board-running");
    let Quantized { model, input } = quantize("mlp", "16", &folder);
    let flash = folder.join("flash.bin");
    let board = Served::start(&[&"--flash", &flash]);
    // Without a model: the runtime starts and says that it has none.
    let said = done(&fixpoint(&[&"flash", &"--port", &board.address]));
    assert!(said.contains("no model yet"), "{said}");
    let output = folder.join("y.npy");
    let run: [&dyn AsRef<OsStr>; 7] = [
        &"run",
        &"--port",
        &board.address,
        &"--input",
        &input,
        &"--output",
        &output,
    ];
    let said = failed(&fixpoint(&run));
    assert!(said.contains("no model yet"), "{said}");
    assert!(!output.exists());

    let said = failed(&fixpoint(&[
        &"flash",
        &"--loader",
        &"--port",
        &board.address,
        &"--model",
        &model,
    ]));
    assert!(said.contains("help: "), "{said}");
    drop(board);

    // With BOOT held it is; only the model is written.
    let board = Served::start(&[&"--flash", &flash, &"--download"]);
    let said = done(&fixpoint(&[
        &"flash",
        &"--port",
        &board.address,
        &"--model",
        &model,
    ]));
    assert!(said.contains("runtime: was there already"), "{said}");
}

#[test]
fn a_port_that_is_not_there_is_explained() {
    let output = folder("board-nobody").join("y.npy");
    for port in ["tcp://127.0.0.1:1", "/dev/tty-none"] {
        let said = failed(&fixpoint(&[
            &"run",
            &"--port",
            &port,
            &"--input",
            &"x.npy",
            &"--output",
            &output,
        ]));
        assert!(said.contains(port), "{said}");
        assert!(said.contains("help: "), "{said}");
    }
}

#[test]
fn emulate_leaves_a_file_alone_until_something_is_flashed() {
    let folder = folder("emulate-foreign");
    let file = folder.join("no-flash.bin");
    let bytes: Vec<u8> = (0..1_000u32).map(|n| (n * 7) as u8).collect();
    std::fs::write(&file, &bytes).unwrap();
    let mut board = Served::start(&[&"--flash", &file, &"--connections", &"1"]);
    let address = board.address.strip_prefix("tcp://").unwrap();
    let mut line = BufReader::new(TcpStream::connect(address).unwrap());
    let mut text = String::new();
    while !text.contains("invalid header: 0x150e0700") {
        assert!(line.read_line(&mut text).unwrap() > 0, "{text}");
    }
    drop(line);
    assert!(board.child.wait().unwrap().success());
    assert_eq!(std::fs::read(&file).unwrap(), bytes);
}

#[test]
fn emulate_says_at_once_what_it_can_not_do() {
    let board = Served::start(&[]);
    let folder = folder("emulate-refuses");
    for (args, said) in [
        (
            ["--listen", &board.address, "--psram", "0"],
            "choose another port with --listen",
        ),
        (
            [
                "--listen",
                "tcp://127.0.0.1:0",
                "--flash",
                "no/such/flash.bin",
            ],
            "can't write no/such/flash.bin: there is no folder no/such",
        ),
        (
            [
                "--listen",
                "tcp://127.0.0.1:0",
                "--flash",
                folder.to_str().unwrap(),
            ],
            "can't read",
        ),
    ] {
        let mut all: Vec<&dyn AsRef<OsStr>> = vec![&"emulate"];
        all.extend(args.iter().map(|arg| arg as &dyn AsRef<OsStr>));
        let text = failed(&fixpoint(&all));
        assert!(text.contains(said), "{text}");
    }
}
