/* Writes a small learnable data set in MNIST's format: `make_idx FOLDER N_TRAIN N_TEST [SEED
 * [SIDE]]`. A class is a bright square at a place of its own, moved and disturbed by noise. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { N_CLASS = 10, SQUARE = 7 };

static uint32_t state;
static int side = 28;

static int draw(int n)
{
    state = state * 1664525u + 1013904223u;
    return (int)((state >> 8) % (uint32_t)n);
}

static void put_word(FILE *f, uint32_t x)
{
    for (int shift = 24; shift >= 0; shift -= 8)
        fputc((int)(x >> shift & 255), f);
}

static void put_image(FILE *f, int label)
{
    int top = label / 4 * 8 + draw(4), left = label % 4 * 7 + draw(3) - 1;
    for (int y = 0; y < side; y++)
        for (int x = 0; x < side; x++) {
            int inside = y >= top && y < top + SQUARE && x >= left && x < left + SQUARE;
            fputc(inside ? 120 + draw(136) : draw(90), f);
        }
}

static FILE *create(const char *folder, const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    if (!f)
        perror(path);
    return f;
}

static int write_part(const char *folder, const char *images, const char *labels, int n)
{
    FILE *x = create(folder, images), *y = create(folder, labels);
    if (!x || !y)
        return 1;
    put_word(x, 0x803);
    put_word(x, (uint32_t)n);
    put_word(x, (uint32_t)side);
    put_word(x, (uint32_t)side);
    put_word(y, 0x801);
    put_word(y, (uint32_t)n);
    for (int i = 0; i < n; i++) {
        int label = draw(N_CLASS);
        put_image(x, label);
        fputc(draw(20) ? label : draw(N_CLASS),
              y); /* some labels are wrong: there is something to memorise */
    }
    return fclose(x) != 0 || fclose(y) != 0;
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    state = argc > 4 ? (uint32_t)atoi(argv[4]) : 1;
    side = argc > 5 ? atoi(argv[5]) : side;
    return write_part(argv[1], "train-images-idx3-ubyte", "train-labels-idx1-ubyte",
                      atoi(argv[2])) ||
           write_part(argv[1], "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte", atoi(argv[3]));
}
