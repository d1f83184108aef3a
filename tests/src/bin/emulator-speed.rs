//! How fast the emulator is on a real inference: the page's networks on the virtual board, with the
//! prebuilt firmware. `cargo xtask bench emulator` builds it with optimization and runs it.

#[cfg(not(target_arch = "wasm32"))]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use std::time::Instant;

    use fixpoint_quant::{Bits, Request, Simulator, quantize};
    use fixpoint_tests::models;
    use fixpoint_tests::virtual_board::{Bench, Firmware};

    const RUNS: usize = 40;
    let firmware = Firmware::prebuilt()?;
    println!(
        "{:<24} {:<6} {:>12} {:>9} {:>12}",
        "network", "bits", "instr./run", "ms/run", "M instr./s"
    );
    for network in models::samples_of_the_page()? {
        for bits in [Bits::I8, Bits::I16] {
            let options = Request {
                bits: Some(bits),
                ..Request::default()
            };
            let calibration = network.calibration();
            let made = quantize(
                &network.model,
                &calibration,
                &options.options(),
                &mut |_| (),
            )?;
            let simulator = Simulator::new(&made.image)?;
            let mut bench = Bench::flashed(firmware.plan(&made.image)?)?;
            bench.connect()?;
            let samples = network.evaluation();
            bench.take_instructions();
            let mut best = f64::INFINITY;
            let mut instructions = 0;
            // The fastest of some, by the time on a processor where the system tells it: others work on
            // this machine as well.
            for i in 0..RUNS {
                let input = simulator.input_bytes(0, samples.get(i % samples.len())[0])?;
                let (on_processor, start) = (on_processor(), Instant::now());
                bench.infer(vec![input])?;
                let wall = start.elapsed().as_secs_f64();
                let seconds = match (on_processor, self::on_processor()) {
                    (Some(before), Some(after)) => after - before,
                    _ => wall,
                };
                let counted = bench.take_instructions();
                if seconds / (counted as f64) < best {
                    best = seconds / counted as f64;
                    instructions = counted;
                }
            }
            println!(
                "{:<24} {:<6} {:>12} {:>9.1} {:>12.1}",
                network.name,
                bits.name(),
                instructions,
                best * instructions as f64 * 1e3,
                1e-6 / best
            );
        }
    }
    Ok(())
}

/// Seconds that this thread has had a processor; Linux tells.
#[cfg(not(target_arch = "wasm32"))]
fn on_processor() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds: u64 = text.split(' ').next()?.parse().ok()?;
    Some(nanoseconds as f64 * 1e-9)
}

#[cfg(target_arch = "wasm32")]
fn main() {}
