/* SPDX-License-Identifier: Apache-2.0 */
/* graphemes.c: see graphemes.h. The rules' names (GB3 ...) are the annex's. */
#include "text/graphemes.h"

#include <string.h>

enum {
    OTHER,
    CR,
    LF,
    CONTROL,
    EXTEND,      /* Grapheme_Cluster_Break and Indic_Conjunct_Break are Extend */
    EXTEND_ONLY, /* the first alone */
    LINKER,      /* Extend, and Indic_Conjunct_Break is Linker */
    ZWJ,
    SPACING,
    PREPEND,
    PICTOGRAPH,
    CONSONANT, /* Indic_Conjunct_Break */
    FLAG,      /* regional indicator */
    HANGUL_L,
    HANGUL_V,
    HANGUL_T,
    HANGUL_LV,
    HANGUL_LVT,
};

typedef struct grapheme_range {
    uint32_t first, last;
    uint8_t class;
} grapheme_range;

#include "text/grapheme_tables.inc"

#define COUNT(list) (sizeof(list) / sizeof *(list))

/* Those that no version of Unicode changes. */
static const grapheme_range fixed_ranges[] = {
    {0x0, 0x1F, CONTROL},        {0xA, 0xA, LF},
    {0xD, 0xD, CR},              {0x7F, 0x7F, CONTROL},
    {0x1100, 0x115F, HANGUL_L},  {0x1160, 0x11A7, HANGUL_V},
    {0x11A8, 0x11FF, HANGUL_T},  {0xA960, 0xA97C, HANGUL_L},
    {0xAC00, 0xD7A3, HANGUL_LVT}, {0xD7B0, 0xD7C6, HANGUL_V},
    {0xD7CB, 0xD7FB, HANGUL_T},  {0x16D63, 0x16D63, HANGUL_V},
    {0x16D67, 0x16D6A, HANGUL_V}, {0x1F1E6, 0x1F1FF, FLAG},
};

static void fill(assay_grapheme_table *table, const grapheme_range *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (uint32_t c = list[i].first; c <= list[i].last && c < sizeof table->classes; c++)
            table->classes[c] = list[i].class;
}

void assay_grapheme_table_fill(assay_grapheme_table *table)
{
    memset(table, OTHER, sizeof *table);
    fill(table, ranges, COUNT(ranges));
    fill(table, fixed_ranges, COUNT(fixed_ranges));
    for (uint32_t c = 0xAC00; c < 0xD7A4; c += 28)
        table->classes[c] = HANGUL_LV;
}

static uint8_t class_of(const assay_grapheme_table *table, uint32_t point)
{
    if (point < sizeof table->classes)
        return table->classes[point];
    for (size_t i = COUNT(ranges); i > 0 && ranges[i - 1].last >= point; i--)
        if (point >= ranges[i - 1].first)
            return ranges[i - 1].class;
    return OTHER;
}

static bool goes_on(const assay_grapheme *cluster, uint8_t next)
{
    uint8_t last = cluster->last;
    if (last <= CONTROL && last != OTHER) /* GB3, GB4 */
        return last == CR && next == LF;
    switch (next) {
    case CR:
    case LF:
    case CONTROL: /* GB5 */
        return false;
    case EXTEND:
    case EXTEND_ONLY:
    case LINKER:
    case ZWJ:
    case SPACING: /* GB9, GB9a */
        return true;
    default:
        break;
    }
    if (last == PREPEND) /* GB9b */
        return true;
    switch (next) {
    case HANGUL_L:
    case HANGUL_LV:
    case HANGUL_LVT: /* GB6 */
        return last == HANGUL_L;
    case HANGUL_V: /* GB6, GB7 */
        return last == HANGUL_L || last == HANGUL_LV || last == HANGUL_V;
    case HANGUL_T: /* GB7, GB8 */
        return last >= HANGUL_V;
    case CONSONANT: /* GB9c */
        return cluster->conjunct == 2;
    case PICTOGRAPH: /* GB11 */
        return cluster->emoji == 2;
    case FLAG: /* GB12 */
        return cluster->flag_half;
    default:
        return false;
    }
}

bool assay_grapheme_take(assay_grapheme *cluster, const assay_grapheme_table *table,
                         uint32_t point)
{
    uint8_t class = class_of(table, point);
    if (cluster->any && !goes_on(cluster, class))
        return false;
    bool extends = class == EXTEND || class == EXTEND_ONLY || class == LINKER;
    if (class == PICTOGRAPH)
        cluster->emoji = 1;
    else if (cluster->emoji == 1 && class == ZWJ)
        cluster->emoji = 2;
    else if (cluster->emoji != 1 || !extends)
        cluster->emoji = 0;
    if (class == CONSONANT)
        cluster->conjunct = 1;
    else if (class == LINKER)
        cluster->conjunct = cluster->conjunct > 0 ? 2 : 0;
    else if (class != EXTEND && class != ZWJ)
        cluster->conjunct = 0;
    cluster->flag_half = class == FLAG && !cluster->flag_half;
    cluster->last = class;
    cluster->any = true;
    return true;
}
