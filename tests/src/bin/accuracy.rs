//! Accuracy of every public model of `shared/`, quantized as when nothing else is asked for.
//! `cargo xtask bench accuracy [NAME]` builds it with optimization and runs it; NAME chooses the models
//! whose names contain it.

#[cfg(not(target_arch = "wasm32"))]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use std::time::Instant;

    use fixpoint_quant::Bits;
    use fixpoint_tests::models;

    let wanted = std::env::args().nth(1).unwrap_or_default();
    let Some(mut names) = models::public_names() else {
        println!(
            "skipped: {} is not there; the public models are not part of the repository, and \
             FIXPOINT_SHARED may name another folder that has data/models",
            models::shared().display()
        );
        return Ok(());
    };
    names.insert(0, models::TUTORIAL.to_owned());
    names.retain(|name| name.contains(&wanted));
    println!(
        "{:<26} {:<11} {:>6} {:>8}  {:<5} {:>8} {:>8} {:>8} {:>9} {:>9} {:>9} {:>9}",
        "model",
        "measured on",
        "n",
        "float",
        "",
        "accuracy",
        "agree",
        "SQNR dB",
        "image B",
        "arena B",
        "quant. s",
        "simul. s"
    );
    for name in names {
        let network = match name == models::TUTORIAL {
            true => models::tutorial(),
            false => models::public(&name),
        };
        let network = network.map_err(|error| format!("{name}: {error}"))?;
        let begun = Instant::now();
        let float = table::of_float(&network)?;
        eprintln!(
            "{}: float model run in {:.1} s",
            network.name,
            begun.elapsed().as_secs_f64()
        );
        for bits in [Bits::I8, Bits::I16] {
            println!("{}", table::row(&network, &float, bits)?);
        }
    }
    println!(
        "\nagree: answers (arg-max) equal to the float model's. SQNR: signal to quantization noise \
         of the output\nthat has most noise, against the float model. calibration: there are no \
         other samples. made up: smooth\nnoise, as no samples of this model are there."
    );
    Ok(())
}

#[cfg(not(target_arch = "wasm32"))]
mod table {
    use std::error::Error;
    use std::time::Instant;

    use fixpoint_quant::{
        Bits, Evaluation, Output, Request, Simulator, evaluate, evaluate_float, quantize,
    };
    use fixpoint_tests::models::{Kind, Network};

    /// Samples on which SQNR is measured, at most.
    const SQNR_SAMPLES: usize = 100;

    pub(crate) struct Float {
        evaluation: Evaluation,
        outputs: Vec<Vec<Output>>,
    }

    pub(crate) fn of_float(network: &Network) -> Result<Float, Box<dyn Error>> {
        let samples = network.evaluation();
        let labels = network.labels.as_deref();
        let runner = network.model.runner()?;
        let outputs = (0..samples.len().min(SQNR_SAMPLES)).map(|i| runner.run(&samples.get(i)));
        Ok(Float {
            outputs: outputs.collect::<Result<_, _>>()?,
            evaluation: evaluate_float(&network.model, &samples, labels, &mut |_, _| ())?,
        })
    }

    pub(crate) fn row(
        network: &Network,
        float: &Float,
        bits: Bits,
    ) -> Result<String, Box<dyn Error>> {
        let options = Request {
            bits: Some(bits),
            ..Request::default()
        };
        let begun = Instant::now();
        let calibration = network.calibration();
        let made = quantize(
            &network.model,
            &calibration,
            &options.options(),
            &mut |_| (),
        )?;
        let quantizing = begun.elapsed().as_secs_f64();

        let begun = Instant::now();
        let mut simulator = Simulator::new(&made.image)?;
        let samples = network.evaluation();
        let labels = network.labels.as_deref();
        let reference = Some(&float.evaluation.predictions[..]);
        let measured = evaluate(&mut simulator, &samples, labels, reference, &mut |_, _| ())?;
        let simulating = begun.elapsed().as_secs_f64();

        let percent = |fraction: Option<f64>| {
            fraction.map_or("-".to_owned(), |f| format!("{:.2} %", 100.0 * f))
        };
        // The arg-max of a detector's boxes says nothing, nor do answers to what is no picture.
        let classifies = network.model.outputs().len() == 1 && network.kind != Kind::MadeUp;
        let name = match bits {
            Bits::I8 => &network.name,
            Bits::I16 => "",
        };
        let kind = match bits {
            Bits::I8 => network.kind.text(),
            Bits::I16 => "",
        };
        let float_accuracy = float.evaluation.accuracy;
        Ok(format!(
            "{name:<26} {kind:<11} {:>6} {:>8}  {:<5} {:>8} {:>8} {:>8.1} {:>9} {:>9} {quantizing:>9.2} {simulating:>9.2}",
            measured.n,
            percent(float_accuracy.filter(|_| network.kind == Kind::Labelled)),
            bits.name(),
            percent(measured.accuracy),
            percent(measured.agreement.filter(|_| classifies)),
            sqnr(network, float, &mut simulator)?,
            made.image.len(),
            made.report.arena_bytes,
        ))
    }

    /// Of the output where it is lowest, in dB.
    fn sqnr(
        network: &Network,
        float: &Float,
        simulator: &mut Simulator,
    ) -> Result<f64, Box<dyn Error>> {
        let samples = network.evaluation();
        let count = simulator.outputs().len();
        let mut sums = vec![(0.0f64, 0.0f64); count];
        for (i, wanted) in float.outputs.iter().enumerate() {
            let found = simulator.run(&samples.get(i))?;
            for ((signal, noise), (found, wanted)) in sums.iter_mut().zip(found.iter().zip(wanted))
            {
                for (a, b) in found.data.iter().zip(&wanted.data) {
                    let (a, b) = (f64::from(*a), f64::from(*b));
                    *signal += b * b;
                    *noise += (a - b) * (a - b);
                }
            }
        }
        let decibels = sums.iter().map(|(s, n)| 10.0 * libm::log10(s / n));
        Ok(decibels.fold(f64::INFINITY, f64::min))
    }
}

#[cfg(target_arch = "wasm32")]
fn main() {}
