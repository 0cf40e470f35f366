//! RFC 9420 Appendix C, as it stands there in Python. `n` is the number of leaves.

/// The level of a node in the tree: 0 for leaves.
#[must_use]
pub fn level(x: usize) -> u32 {
    if x & 1 == 0 {
        return 0;
    }
    let mut k = 0;
    while (x >> k) & 1 == 1 {
        k += 1;
    }
    k
}

/// The number of nodes needed to represent a tree with `n` leaves.
#[must_use]
pub fn node_width(n: usize) -> usize {
    if n == 0 { 0 } else { 2 * (n - 1) + 1 }
}

/// The index of the root node of a tree with `n` leaves.
#[must_use]
pub fn root(n: usize) -> usize {
    let w = node_width(n);
    (1 << w.ilog2()) - 1
}

/// The left child of an intermediate node.
#[must_use]
pub fn left(x: usize) -> usize {
    let k = level(x);
    assert_ne!(k, 0, "leaf node has no children");
    x ^ (1 << (k - 1))
}

/// The right child of an intermediate node.
#[must_use]
pub fn right(x: usize) -> usize {
    let k = level(x);
    assert_ne!(k, 0, "leaf node has no children");
    x ^ (3 << (k - 1))
}

/// The parent of a node.
#[must_use]
pub fn parent(x: usize, n: usize) -> usize {
    assert_ne!(x, root(n), "root node has no parent");
    let k = level(x);
    let b = (x >> (k + 1)) & 1;
    (x | (1 << k)) ^ (b << (k + 1))
}

/// The other child of the node's parent.
#[must_use]
pub fn sibling(x: usize, n: usize) -> usize {
    let p = parent(x, n);
    if x < p { right(p) } else { left(p) }
}

/// The direct path of a node, ordered from leaf to root.
#[must_use]
pub fn direct_path(mut x: usize, n: usize) -> Vec<usize> {
    let mut d = Vec::new();
    while x != root(n) {
        x = parent(x, n);
        d.push(x);
    }
    d
}

/// True if `x` is a descendant of `p` (RFC 9420 §4.1): one of its children, or a descendant of one.
#[must_use]
pub fn is_descendant(x: usize, p: usize, n: usize) -> bool {
    x < node_width(n) && direct_path(x, n).contains(&p)
}

/// True if `x` is in the subtree with this head.
#[must_use]
pub fn is_in_subtree(x: usize, head: usize, n: usize) -> bool {
    x == head || is_descendant(x, head, n)
}
