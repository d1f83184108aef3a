//! `app_main.cpp`: one inference, from floats to integers and to an answer.

use super::class::shape;
use super::{Context, ExportError};

/// A program for ESP-IDF that runs the class `class`.
pub(super) fn program(context: &Context<'_>, class: &str) -> Result<String, ExportError> {
    let (graph, plan) = (context.graph, context.plan);
    let element = context.element();
    let bits = context.table.bits;
    let (input, output) = (plan.inputs[0], plan.outputs[0]);
    let (input, output) = (&plan.tensors[input], &plan.tensors[output]);
    let dims: Vec<String> = shape(input).iter().map(usize::to_string).collect();
    let exponent = context.table.one(&graph.inputs[0])?;
    let answer = context.table.one(&output.source)?;
    let getter = match plan.outputs.len() {
        1 => "get_output",
        _ => "get_output_0",
    };
    Ok(format!(
        r#"#include <math.h>
#include <stdio.h>

#include "dl_tool.hpp"
#include "{name}_model.hpp"

// One sample of '{input_name}', {shape}, normalized as for training. Fill it in.
static float sample[{elements}];

extern "C" void app_main(void)
{{
    const int elements = {elements};
    const int input_exponent = {exponent};
    {element} *quantized = ({element} *)dl::tool::malloc_aligned_prefer(elements, sizeof({element}), 16);
    if (quantized == NULL)
    {{
        printf("not enough memory for the input\n");
        return;
    }}
    for (int i = 0; i < elements; i++)
    {{
        // Round half to even, then clip, as the quantizer's simulator does.
        const float value = rintf(ldexpf(sample[i], -input_exponent));
        quantized[i] = ({element})fminf(fmaxf(value, {low}), {high});
    }}

    dl::Tensor<{element}> input;
    input.set_element(quantized).set_exponent(input_exponent).set_shape({{{dims}}}).set_auto_free(false);

    {class} model;
    dl::tool::Latency latency;
    latency.start();
    model.forward(input);
    latency.end();
    latency.print("{class}", "forward");

    const int output_exponent = {answer};
    {element} *scores = model.{getter}().get_element_ptr();
    int best = 0;
    for (int i = 0; i < {outputs}; i++)
    {{
        printf("%d: %d (%f)\n", i, scores[i], ldexpf(scores[i], output_exponent));
        if (scores[i] > scores[best])
        {{
            best = i;
        }}
    }}
    printf("largest: %d\n", best);
    dl::tool::free_aligned_prefer(quantized);
}}
"#,
        name = context.name,
        input_name = graph.inputs[0].replace(['\n', '\r', '\\'], "_"),
        shape = dims.join(" x "),
        elements = input.len(),
        dims = dims.join(", "),
        low = bits.min(),
        high = bits.max(),
        outputs = output.len(),
    ))
}
