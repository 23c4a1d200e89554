/* SPDX-License-Identifier: MIT */
/*
 * The FIT gate of U-Boot, function by function, over a tree of a few bytes of any content. What is
 * proved of a function stands in its place where it is called: any_NAME() for NAME().
 */

#include "environment.h"

#include "bootseal_gate.c"

#define MOST	16U	/* bytes behind the header, and in texts of any content */
#define SOME	4U	/* nodes, properties and load addresses that were seen before */

size_t strnlen(const char *text, size_t most)
{
	size_t len = 0;

	while (len < most && text[len])
		len++;
	return len;
}

static u8 *tree;
static u32 tree_size;

/* A text that ends inside of its object, in as many bytes as there are. */
static void check_text(const char *text)
{
	PROVE(__CPROVER_r_ok(text, 1U), "a text is there");
}

static char *any_text(void)
{
	char *made = buffer(MOST);

	made[MOST - 1U] = '\0';
	return made;
}

bool any_zeros(const u8 *from, u32 len)
{
	PROVE((len == 0U) || __CPROVER_r_ok(from, len), "a range of the tree");
	return nondet_bool();
}

int any_strcmp(const char *one, const char *other)
{
	check_text(one);
	check_text(other);
	return nondet_int();
}

bool any_is_name(const char *name)
{
	check_text(name);
	return nondet_bool();
}

const char *any_reason(void)
{
	return nondet_bool() ? NULL : "a reason";
}

/* What check_header() leaves: blocks one behind the other, names that end. */
static void any_tree(struct gate *g)
{
	tree_size = nondet_u32();
	GIVEN((tree_size >= STRUCT_OFFSET + 4U) && (tree_size <= STRUCT_OFFSET + MOST));
	tree = buffer(tree_size);
	g->fit = tree;
	g->size = tree_size;
	GIVEN((g->end >= STRUCT_OFFSET) && (g->end < tree_size) && (g->end % 4U == 0U));
	GIVEN((g->strings_size > 0U) && (g->strings_size <= tree_size - g->end));
	GIVEN(tree[g->end + g->strings_size - 1U] == 0U);
	GIVEN((g->depth <= MAX_DEPTH) && (g->nodes <= SOME) && (g->loads <= MAX_LOADS));
}

static u32 any_place(const struct gate *g)
{
	u32 pos = nondet_u32();

	GIVEN((pos >= STRUCT_OFFSET) && (pos <= g->end) && (pos % 4U == 0U));
	return pos;
}

void prove_texts(void)
{
	const char *text = any_text();
	struct prop prop;

	is_printable(text);
	is_node_name(text);
	is_prop_name(text);
	starts_with(text, "signature");
	GIVEN(prop.len <= MOST);
	prop.value = buffer(prop.len);
	if (is_text(&prop)) {
		PROVE(prop.value[prop.len - 1U] == 0U, "it ends");
	}
	DONE();
}

void prove_zeros(void)
{
	u32 len = nondet_u32();

	GIVEN(len <= MOST);
	is_zero(buffer(len), len);
	DONE();
}

void prove_header(void)
{
	struct gate g;

	g.at = 0U;
	GIVEN(g.size <= STRUCT_OFFSET + MOST);
	g.fit = buffer(g.size);
	if (check_header(&g) == NULL) {
		PROVE((g.end >= STRUCT_OFFSET) && (g.end % 4U == 0U), "the tags are behind it");
		PROVE((g.strings_size > 0U) && (g.strings_size <= g.size - g.end), "then names");
		PROVE(g.fit[g.end + g.strings_size - 1U] == 0U, "which end");
	}
	PROVE(g.at <= g.size, "a refusal is about a place of the tree");
	DONE();
}

/* The depth is one number at a time: an index that could be any costs minutes. */
static void prove_enter_at(u32 depth)
{
	struct gate g;
	struct open node;
	char *name = any_text();
	u32 i;

	g.depth = depth;
	GIVEN(g.nodes <= SOME);
	GIVEN(g.open[depth - 1U].path < MAX_PATH);
	for (i = 0; i < SOME; i++)
		g.node[i].name = any_text();
	if (enter_child(&g, name, (u32)strlen(name), &node) == NULL) {
		PROVE(g.depth < MAX_DEPTH, "there is room for it");
		PROVE(node.path < MAX_PATH, "its path is short enough");
	}
}

void prove_enter(void)
{
	u32 depth;

	for (depth = 1; depth <= MAX_DEPTH; depth++)
		prove_enter_at(depth);
	DONE();
}

const char *any_enter(struct gate *g, const char *name, u32 len, struct open *node)
{
	check_text(name);
	PROVE(g->depth >= 1U, "it has a parent");
	GIVEN(node->path < MAX_PATH);
	if (nondet_bool()) {
		return "a reason";
	}
	GIVEN(g->depth < MAX_DEPTH);
	return NULL;
}

static void prove_begin_at(u32 depth)
{
	struct gate g;
	u32 pos;

	any_tree(&g);
	g.depth = depth;
	g.nodes = SOME;
	pos = any_place(&g);
	if (begin_node(&g, &pos) == NULL) {
		PROVE((pos <= g.end) && (pos % 4U == 0U), "the next tag is inside");
		PROVE((g.depth >= 1U) && (g.depth <= MAX_DEPTH), "so is the depth");
		PROVE(g.open[g.depth - 1U].props <= MAX_PROPS, "and the properties");
	}
}

void prove_begin(void)
{
	u32 depth;

	for (depth = 0; depth <= MAX_DEPTH; depth++)
		prove_begin_at(depth);
	DONE();
}

void prove_claim(void)
{
	struct gate g;
	struct open image;

	GIVEN(g.loads <= MAX_LOADS);
	if (claim(&g, &image) == NULL) {
		PROVE((g.loads >= 1U) && (g.loads <= MAX_LOADS), "it was noted");
	}
	DONE();
}

const char *any_claim(struct gate *g, const struct open *image)
{
	PROVE(__CPROVER_r_ok(image, sizeof(*image)), "the image is there");
	return any_reason();
}

static void prove_end_at(u32 depth)
{
	struct gate g;

	g.depth = depth;
	GIVEN((depth != 1U) || (g.open[0].kind == ROOT));
	end_node(&g);
	PROVE(g.depth <= MAX_DEPTH, "the depth is inside");
}

void prove_end(void)
{
	u32 depth;

	for (depth = 0; depth <= MAX_DEPTH; depth++)
		prove_end_at(depth);
	DONE();
}

/* A tag was read, and perhaps something behind it. */
static const char *any_tag(struct gate *g, u32 *pos)
{
	u32 next = nondet_u32(), depth = nondet_u32();

	PROVE((*pos <= g->end) && (*pos % 4U == 0U), "behind a tag");
	GIVEN((next >= *pos) && (next <= g->end) && (next % 4U == 0U) && (depth <= MAX_DEPTH));
	*pos = next;
	g->depth = depth;
	g->found = nondet_u32();
	return any_reason();
}

const char *any_begin(struct gate *g, u32 *pos)
{
	return any_tag(g, pos);
}

const char *any_property(struct gate *g, u32 *pos)
{
	return any_tag(g, pos);
}

const char *any_end(struct gate *g)
{
	u32 depth = nondet_u32();

	GIVEN(depth <= MAX_DEPTH);
	g->depth = depth;
	return any_reason();
}

void prove_tags(void)
{
	struct gate g;

	any_tree(&g);
	if (check_tags(&g) == NULL) {
		PROVE(g.depth == 0U, "every node ended");
		PROVE((g.found & IMAGES) && (g.found & CONFIGS), "and the two were there");
	}
	PROVE(g.at <= g.end, "a refusal is about a place of the tree");
	DONE();
}
