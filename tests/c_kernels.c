/* Computes one layer with the functions of docs/c-header.md, from the codes on standard input.
 * Gives the output codes, or the sums of an output without codes, as int32. */
#include <stdio.h>
#include <stdlib.h>

int main(int count, char **arguments) {
    const evoq_layer *layer = &evoq_layers[count > 1 ? atoi(arguments[1]) : 0];
    const evoq_tensor *input = layer->input, *output = layer->output;
    size_t size = 1;
    code *codes;
    for (int32_t axis = 1; axis < input->rank; axis++)
        size *= (size_t)input->dims[axis];
    codes = malloc(size * sizeof *codes);
    if (codes == NULL || fread(codes, sizeof *codes, size, stdin) != size)
        return 1;
    for (int32_t o = 0; o < layer->channels; o++)
        for (int32_t y = 0; y < (layer->op == EVOQ_CONV ? output->dims[2] : 1); y++)
            for (int32_t x = 0; x < (layer->op == EVOQ_CONV ? output->dims[3] : 1); x++) {
                int32_t sum = layer->op == EVOQ_CONV ? conv_sum(layer, codes, o, y, x)
                                                     : gemm_sum(layer, codes, o);
                int32_t result = output->bits ? output_code(layer, sum, o) : sum;
                if (fwrite(&result, sizeof result, 1, stdout) != 1)
                    return 1;
            }
    free(codes);
    return 0;
}
