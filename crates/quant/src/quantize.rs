//! Float model and calibration samples in, image and report out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::calibrate::{self, Exponents, Observed};
use crate::error::QuantError;
use crate::float::Reference;
use crate::graph::Graph;
use crate::image::{MODEL_ROOM, NEAR_ROOM};
use crate::imitation::{self, Imitation};
use crate::lower::{self, Lowered};
use crate::model::FloatModel;
use crate::options::{Arithmetic, Bits, Chip, Granularity, Method, Options};
use crate::plan::Plan;
use crate::report::{LayerReport, Report, TensorReport};
use crate::samples::Samples;
use crate::{log, measure, ops, plan, table};

/// Samples on which SQNR and saturation are measured, at most.
const MEASURED_SAMPLES: usize = 32;

/// What [`quantize`] is busy with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Running the float model over the samples.
    Calibrate,
    /// Choosing exponents, rounding constants, writing the image.
    Convert,
    /// Comparing the simulator with the float model layer by layer.
    Measure,
}

/// Reported now and then; `done` of `total` steps of the stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    pub stage: Stage,
    pub done: usize,
    pub total: usize,
}

/// The result of [`quantize`].
#[derive(Clone, Debug)]
pub struct Quantized {
    /// The model image, as written to the model partition (`model.fxp`).
    pub image: Vec<u8>,
    /// What goes into `report.json`.
    pub report: Report,
    /// The lines ESP-DL's toolkit prints.
    pub log: String,
    /// Where the evaluator is to be followed and no image can: the model as it runs it. The image is the
    /// chip's then.
    pub imitation: Option<Imitation>,
}

fn check(options: &Options) -> Result<(), QuantError> {
    let espdl = options.arithmetic == Arithmetic::Espdl;
    if espdl && options.bits == Bits::I16 && options.granularity == Granularity::PerChannel {
        return Err(QuantError::Options(
            "ESP-DL has int16 per tensor only; take per-tensor, or the fixpoint arithmetic."
                .to_owned(),
        ));
    }
    if !espdl && (options.chip != Chip::Esp32S3 || options.mimic_evaluator) {
        return Err(QuantError::Options(
            "the fixpoint arithmetic is the ESP32-S3's; other chips and the evaluator belong to \
             the espdl arithmetic."
                .to_owned(),
        ));
    }
    if options.mimic_evaluator && options.chip != Chip::Esp32S3 {
        return Err(QuantError::Options(
            "ESP-DL's evaluator knows the ESP32-S3 only.".to_owned(),
        ));
    }
    if options.method == Method::Entropy && options.bits == Bits::I16 {
        return Err(QuantError::Options(
            "entropy is for int8 only; take minmax or mse for int16.".to_owned(),
        ));
    }
    Ok(())
}

/// Quantizes `model` with the ranges seen on `calibration`. A model that brings its own exponents
/// needs no samples; with some, the report tells how well it does on them.
pub fn quantize(
    model: &FloatModel,
    calibration: &Samples<'_>,
    options: &Options,
    progress: &mut dyn FnMut(Progress),
) -> Result<Quantized, QuantError> {
    let (mut options, mut warnings) = model.own_options(options);
    check(&options)?;
    let imitated = options.mimic_evaluator && imitation::is_needed(&model.graph);
    options.mimic_evaluator &= !imitated;
    let options = &options;
    let Some(plan) = &model.plan else {
        return Err(QuantError::Model(model.problems().to_vec()));
    };
    let graph = &model.graph;
    let espdl = match options.arithmetic {
        Arithmetic::Espdl => {
            Some(plan::plan(graph, Arithmetic::Espdl).map_err(|e| QuantError::Model(vec![e]))?)
        }
        Arithmetic::Fixpoint => None,
    };
    let reference = Reference::new(graph, &calibrate::computed_tensors(graph))?;
    let mut observed = match model.is_settled() && calibration.is_empty() {
        true => unobserved(graph, options)?,
        false => calibrate::observe(
            graph,
            &reference,
            calibration,
            options,
            &mut |done, total| {
                progress(Progress {
                    stage: Stage::Calibrate,
                    done,
                    total,
                });
            },
        )?,
    };
    let exponents = calibrate::exponents(graph, &observed, options);
    check_given(graph, &exponents, options)?;
    (observed.scales).limit(graph, &exponents.by_name, options);
    progress(Progress {
        stage: Stage::Convert,
        done: 0,
        total: 1,
    });
    let espdl = espdl.map(|p| p.for_espdl(graph, &exponents.by_name, options.mimic_evaluator));
    let plan = espdl.as_ref().map_or(plan, |(plan, _)| plan);
    let equalized = (observed.scales).applied(graph);
    let (plan, lowered) = with_room(plan, &|plan| {
        lower::lower(&equalized, plan, &exponents.by_name, options)
    })?;
    let mut report = report(model, &plan, &lowered, &exponents, &observed, options);
    report.given = model.is_given();
    (report.warnings).extend(not_as_tabled(graph, &exponents));
    report.warnings.append(&mut warnings);
    (report.warnings).extend(espdl.iter().flat_map(|(_, notes)| notes.clone()));
    report.tensors = toolkit_table(model, &observed, options);
    report.calibration_samples = calibration.len();
    progress(Progress {
        stage: Stage::Convert,
        done: 1,
        total: 1,
    });
    let measured = calibration.take(MEASURED_SAMPLES);
    let quality = measure::measure(
        &lowered,
        &plan,
        &reference,
        &observed.scales,
        &measured,
        &mut |done, total| {
            progress(Progress {
                stage: Stage::Measure,
                done,
                total,
            });
        },
    )?;
    report.measured_samples = measured.len();
    for (layer, q) in report.layers.iter_mut().zip(quality) {
        layer.sqnr_db = q.sqnr_db();
        layer.saturation = q.saturation();
    }
    let log = log::quantized_model_info(&report, graph);
    let mut imitation = None;
    if imitated {
        imitation = Some(Imitation::new(model, &report)?);
        report.options.mimic_evaluator = true;
        report.warnings.push(
            "ESP-DL's evaluator computes here what no integers of the model's type hold. Its values are \
             imitated in float32; the figures of the layers are the chip's."
                .to_owned(),
        );
    }
    Ok(Quantized {
        image: lowered.image.bytes,
        report,
        log,
        imitation,
    })
}

/// The plan and its image. Where an image can be written, or it or its tensors have room, only then, transposed
/// convolutions stay what they are: as many as it takes, the largest output first.
fn with_room(
    plan: &Plan,
    lower: &dyn Fn(&Plan) -> Result<Lowered, QuantError>,
) -> Result<(Plan, Lowered), QuantError> {
    let lacks = |lowered: &Result<Lowered, QuantError>| match lowered {
        Err(_) => [true; 3],
        Ok(Lowered { image, .. }) => {
            let large = image.bytes.len() > MODEL_ROOM as usize;
            [false, large, image.plan.arena_bytes > NEAR_ROOM]
        }
    };
    let divided = lower(plan);
    let nodes = plan.divided();
    if lacks(&divided) == [false; 3] || nodes.is_empty() {
        return Ok((plan.clone(), divided?));
    }
    let whole = plan.undivided(&nodes);
    let least = lower(&whole);
    if lacks(&least) >= lacks(&divided) {
        return Ok((plan.clone(), divided?));
    }
    for count in 1..nodes.len() {
        let some = plan.undivided(&nodes[..count]);
        let lowered = lower(&some);
        if lacks(&lowered) <= lacks(&least) {
            return Ok((some, lowered?));
        }
    }
    Ok((whole, least?))
}

/// What is known of a model's tensors without a sample, where file or table settle them: nothing, which has to
/// be enough.
fn unobserved(graph: &Graph, options: &Options) -> Result<Observed, QuantError> {
    let open = calibrate::open(graph, options);
    if open.is_empty() {
        return Ok(Observed::nothing());
    }
    let source = match graph.given.is_empty() {
        true => "table has no exponent",
        false => "quantized model gives no scale",
    };
    Err(QuantError::Samples(format!(
        "The {source} for '{}'. Give calibration samples: their range decides there.",
        open.join("', '")
    )))
}

/// Tensors that an operator keeps from having the exponent that a table gives them.
fn not_as_tabled(graph: &Graph, exponents: &Exponents) -> Option<String> {
    let others: Vec<String> = (graph.tabled.activations.iter())
        .filter_map(|(name, tabled)| {
            let got = *exponents.by_name.get(name)?;
            (got != *tabled).then(|| format!("'{name}' is at 2^{got} instead of 2^{tabled}"))
        })
        .collect();
    (!others.is_empty()).then(|| {
        format!(
            "The table can't be followed everywhere, as operators keep their input's exponent: {}.",
            others.join(", ")
        )
    })
}

/// The exponents of a quantized file are used as they are, or not at all.
fn check_given(graph: &Graph, exponents: &Exponents, options: &Options) -> Result<(), QuantError> {
    let Some((name, given, got)) = calibrate::not_as_given(graph, exponents) else {
        return Ok(());
    };
    Err(QuantError::Options(format!(
        "the quantized model has '{name}' at 2^{given}, where the {} arithmetic needs 2^{got}. \
         Quantize the model anew (--requantize){}.",
        options.arithmetic.name(),
        match options.arithmetic {
            Arithmetic::Espdl => ", or take the fixpoint arithmetic",
            Arithmetic::Fixpoint => "",
        }
    )))
}

/// The ESP-DL toolkit's table alone: exponents of activations, weights and biases by name, for
/// any model that can be calibrated, whether or not the arithmetic can run it.
pub fn quantization_table(
    model: &FloatModel,
    calibration: &Samples<'_>,
    options: &Options,
) -> Result<BTreeMap<String, Vec<i32>>, QuantError> {
    let (options, _) = model.own_options(options);
    let options = &options;
    check(options)?;
    if model.plan.is_none() {
        return Err(QuantError::Model(model.problems().to_vec()));
    }
    let graph = &model.graph;
    let observed = match model.is_settled() && calibration.is_empty() {
        true => unobserved(graph, options)?,
        false => {
            let reference = Reference::new(graph, &calibrate::computed_tensors(graph))?;
            calibrate::observe(graph, &reference, calibration, options, &mut |_, _| ())?
        }
    };
    Ok(toolkit_table(model, &observed, options))
}

/// The table is the toolkit's whatever the arithmetic, but for a model with exponents of its own.
fn toolkit_table(
    model: &FloatModel,
    observed: &Observed,
    options: &Options,
) -> BTreeMap<String, Vec<i32>> {
    let arithmetic = match model.is_given() {
        true => options.arithmetic,
        false => Arithmetic::Espdl,
    };
    let of_the_table = Options {
        arithmetic,
        ..options.clone()
    };
    let exponents = calibrate::exponents(&model.graph, observed, &of_the_table);
    let mut table = table::table(&model.graph, &exponents.by_name, options);
    // What is read for such has the exponent of what it is made of.
    if !model.is_given() {
        for node in model.graph.nodes.iter().filter(|n| model.graph.is_part(n)) {
            table.remove(node.output());
        }
    }
    table
}

fn report(
    model: &FloatModel,
    plan: &Plan,
    lowered: &Lowered,
    exponents: &Exponents,
    observed: &Observed,
    options: &Options,
) -> Report {
    let graph = &model.graph;
    let exponent = |name: &str| exponents.by_name.get(name).copied().unwrap_or(0);
    let range = |name: &str| {
        let range = observed.range(name, options.arithmetic);
        range.map_or([0.0; 2], |r| [r.min, r.max])
    };
    let tensor = |id: &usize| {
        let t = &plan.tensors[*id];
        TensorReport {
            name: t.source.clone(),
            dims: t.dims.clone(),
            exponent: exponent(&t.source),
            range: range(&t.source),
        }
    };
    let layers = (plan.layers.iter().zip(&lowered.layers))
        .map(|(layer, low)| {
            let output = &plan.tensors[layer.output];
            let node = layer.node.map(|i| &graph.nodes[i]);
            LayerReport {
                name: layer.name.clone(),
                op: low.op.to_owned(),
                activation: layer.activation.map(|a| graph.nodes[a].op.clone()),
                inserted: layer.node.is_none(),
                inputs: (layer.inputs.iter())
                    .map(|i| plan.tensors[*i].name.clone())
                    .collect(),
                output: output.name.clone(),
                output_dims: output.dims.clone(),
                output_exponent: exponent(&output.source),
                weight_exponents: low.weight_exponents.clone(),
                channel_powers: (observed.scales.of(&output.source))
                    .map_or_else(Vec::new, <[i32]>::to_vec),
                range: range(&output.source),
                sqnr_db: None,
                saturation: 0.0,
                macs: node.map_or(0, |n| ops::macs(graph, n)),
                accumulator_bits: low.accumulator_bits,
                weight_bytes: low.weight_bytes,
                output_bytes: output.len() * options.bits.width() as usize / 8,
            }
        })
        .collect::<Vec<_>>();
    let mut warnings = exponents.warnings.clone();
    for (layer, low) in plan.layers.iter().zip(&lowered.layers) {
        warnings.extend(
            low.warnings
                .iter()
                .map(|w| format!("'{}': {w}.", layer.name)),
        );
    }
    Report {
        model: graph.name.clone(),
        options: options.clone(),
        given: false,
        calibration_samples: 0,
        measured_samples: 0,
        inputs: plan.inputs.iter().map(tensor).collect(),
        outputs: plan.outputs.iter().map(tensor).collect(),
        macs: layers.iter().map(|l| l.macs).sum(),
        steps: match lowered.image.steps.len() == layers.len() {
            true => Vec::new(),
            false => lowered.image.steps.iter().map(|step| step.op).collect(),
        },
        layers,
        tensors: BTreeMap::new(),
        image_bytes: lowered.image.bytes.len(),
        arena_bytes: lowered.image.plan.arena_bytes as usize,
        warnings,
    }
}
