"""What each header says first: the formulas, and the types of its tables."""

OPERATORS = {
    "Conv": "EVOQ_CONV", "ConvTranspose": "EVOQ_CONV_TRANSPOSE", "Gemm": "EVOQ_GEMM",
    "MatMul": "EVOQ_MATMUL",
}  # fmt: skip

TITLE = """\
/*
 * The layers of a quantized model, as onnx-evoq found them: codes of weights, steps and biases.
 *
 *   a weight is  step * code,                  step = 2^-frac_bits, or scale without frac_bits
 *   a tensor is  scale * (code - zero_point),  scale = 2^-frac_bits, if it has frac_bits
 *
 * Output channel o of a layer, whose step has the index s = o % steps, is
 *
 *   sum   = bias[o] + sum of (code of the weight) * (code of the input - zero_point of the input)
 *   value = sum * (scale of the input * step[s]) + float_bias[o]
 *   code  = clip(round(value / scale of the output) + zero_point of the output, lowest, highest)
 *
 * With a shift, round(value / scale of the output) is round(sum * 2^-shift[s]), where
 *
 *   shift[s] = frac_bits of the input + frac_bits[s] of the weight - frac_bits of the output
 *
 * Without one, runtimes round sum * (scale of the input * step[s] / scale of the output), computed
 * in floats. An output without codes is the value. With an input without codes, the value is that
 * of step * (code of the weight) * (value of the input), summed up, plus float_bias[o].
 *
 * round takes a tie to the even number. To shift a sum to the right by n > 0, add 2^(n-1) to it and
 * shift; where the last n bits of the sum were a one and then zeros, clear the last bit of the
 * result. A shift below 0 goes to the left. Padding has the value 0, the code zero_point. The
 * limits of the codes stand for a Relu or a Clip behind the layer, too.
 *
 * Codes lie as in ONNX, the last axis fastest: Conv (outputs, inputs / groups, axes of space...),
 * ConvTranspose (inputs, outputs / groups, axes of space...), Gemm (outputs, inputs) if it is
 * transposed, other Gemm and MatMul (inputs, outputs).
 */
"""

TYPES = """\
#include <stddef.h>
#include <stdint.h>

#define EVOQ_NO_FRAC_BITS (-128)

typedef enum { EVOQ_CONV, EVOQ_CONV_TRANSPOSE, EVOQ_GEMM, EVOQ_MATMUL } evoq_operator;

typedef struct {
    const char *name;           /* in the model */
    int32_t rank;               /* 0: its shape is not known */
    int32_t dims[EVOQ_AXES];    /* 0: the model leaves the size open */
    int32_t bits;               /* of the type of a code: 8 or 16; 0: the tensor has no codes */
    int32_t is_signed;          /* 1: of int8_t or int16_t, 0: of uint8_t or uint16_t */
    int32_t frac_bits;          /* EVOQ_NO_FRAC_BITS: the scale is no power of two */
    float scale;
    int32_t zero_point;         /* the code of 0 */
    int32_t lowest;             /* the limits of the codes, within those of their type */
    int32_t highest;
} evoq_tensor;

typedef struct {
    const char *name;           /* of the node in the model */
    evoq_operator op;
    const evoq_tensor *input;
    const evoq_tensor *output;
    const int8_t *codes;        /* of the weight */
    int32_t bits;               /* that hold the codes: from -2^(bits-1) to 2^(bits-1) - 1 */
    int32_t rank;               /* of the weight */
    int32_t dims[5];
    int32_t channels;           /* of the output */
    int32_t steps;              /* how many there are: 1, or one for each output channel */
    const int8_t *frac_bits;    /* (steps); NULL: they are no powers of two */
    const float *scale;         /* (steps); NULL: they are powers of two */
    const int8_t *shift;        /* (steps); NULL: a tensor has no codes, or a scale no frac_bits */
    const int32_t *bias;        /* (channels), in units of scale of the input * step; NULL: 0 */
    const float *float_bias;    /* (channels); NULL: 0 */
    int32_t groups;
    int32_t transposed;         /* 1: of a Gemm, whose codes are (outputs, inputs) */
    int32_t strides[3];         /* of Conv and ConvTranspose, for each axis of space */
    int32_t dilations[3];
    int32_t pads[6];            /* in front of all axes of space, then behind them */
    int32_t output_padding[3];  /* of ConvTranspose */
} evoq_layer;
"""
