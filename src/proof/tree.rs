//! The Merkle tree of RFC 6962, section 2.1, which RFC 9162 keeps: leaves and nodes are hashed apart, so neither passes for the other.
//!
//! A node is named by its height above the leaves and its place among those of that height: `(0, 5)` is the sixth leaf, `(8, 0)` the first
//! 256 leaves. A node is *whole* when all its leaves are there; whole nodes never change.

use aws_lc_rs::digest::{Context, SHA256};

use crate::proof::Hash;

/// The hash of a leaf with this content.
#[must_use]
pub fn leaf_hash(content: &[u8]) -> Hash {
    hash(&[&[0], content])
}

/// The hash of a node over two others.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    hash(&[&[1], left, right])
}

/// The root of a tree without leaves.
#[must_use]
pub fn empty_root() -> Hash {
    hash(&[])
}

fn hash(pieces: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    for piece in pieces {
        context.update(piece);
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// A node's height above the leaves, and its place among those of its height.
pub type Node = (u32, u64);

/// The right edge of a growing tree: the whole nodes that nothing is joined with yet, tallest first. It takes 32 bytes for each bit of the
/// number of leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edge {
    nodes: Vec<(u32, Hash)>,
    size: u64,
}

impl Edge {
    /// How many leaves there are.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf. `whole` is told each node that becomes whole, the leaf itself left out.
    pub fn push(&mut self, leaf: Hash, whole: &mut dyn FnMut(Node, Hash)) {
        self.push_node(0, leaf, whole);
    }

    /// Appends a whole node; the number of leaves so far must be a multiple of those that it has, or it would stand askew.
    pub fn push_node(&mut self, height: u32, node: Hash, whole: &mut dyn FnMut(Node, Hash)) {
        debug_assert_eq!(self.size % (1 << height), 0, "a node of height {height} after {} leaves", self.size);
        self.size += 1 << height;
        let (mut height, mut node) = (height, node);
        while let Some((_, left)) = self.nodes.pop_if(|(its, _)| *its == height) {
            node = node_hash(&left, &node);
            height += 1;
            whole((height, (self.size >> height) - 1), node);
        }
        self.nodes.push((height, node));
    }

    /// The root over all leaves so far.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut nodes = self.nodes.iter().rev().map(|(_, node)| *node);
        let Some(last) = nodes.next() else { return empty_root() };
        nodes.fold(last, |right, left| node_hash(&left, &right))
    }
}

/// The places of the whole nodes that make up the leaves from `from` to `to` (not included), left to right. `from` must begin a node that
/// reaches to `to` or beyond, as any range in a proof does.
#[must_use]
pub fn whole_nodes(from: u64, to: u64) -> Vec<Node> {
    let (mut places, mut at) = (Vec::new(), from);
    while at < to {
        let height = (to - at).ilog2().min(at.trailing_zeros().min(63));
        places.push((height, at >> height));
        at += 1 << height;
    }
    places
}

/// The largest power of two below `n`, where a tree of `n` leaves parts (`n` > 1).
fn split(n: u64) -> u64 {
    1 << (n - 1).ilog2()
}

/// The ranges of leaves whose roots prove that leaf `index` is in the tree of `size` leaves, from the leaf upwards.
fn inclusion_ranges(index: u64, size: u64) -> Vec<(u64, u64)> {
    let (mut ranges, mut from, mut to) = (Vec::new(), 0, size);
    while to - from > 1 {
        let middle = from + split(to - from);
        if index < middle {
            ranges.push((middle, to));
            to = middle;
        } else {
            ranges.push((from, middle));
            from = middle;
        }
    }
    ranges.reverse();
    ranges
}

/// The ranges whose roots prove that the tree of `old` leaves is the beginning of that of `size` (RFC 6962, section 2.1.2).
fn consistency_ranges(old: u64, size: u64) -> Vec<(u64, u64)> {
    let (mut ranges, mut from, mut to, mut is_root_known) = (Vec::new(), 0, size, true);
    while old != to {
        let middle = from + split(to - from);
        if old <= middle {
            ranges.push((middle, to));
            to = middle;
        } else {
            ranges.push((from, middle));
            from = middle;
            is_root_known = false;
        }
    }
    if !is_root_known {
        ranges.push((from, to));
    }
    ranges.reverse();
    ranges
}

/// The root over a range of leaves, out of whole nodes that `node` gives.
fn range_root<E>(
    (from, to): (u64, u64),
    node: &mut dyn FnMut(Node) -> std::result::Result<Hash, E>,
) -> std::result::Result<Hash, E> {
    let mut nodes = Vec::new();
    for place in whole_nodes(from, to) {
        nodes.push(node(place)?);
    }
    let mut nodes = nodes.into_iter().rev();
    let last = nodes.next().unwrap_or_else(empty_root);
    Ok(nodes.fold(last, |right, left| node_hash(&left, &right)))
}

/// Proves that leaf `index` (from 0) is in the tree of `size` leaves; empty where `index` is not below `size`.
///
/// # Errors
/// What `node` fails with, which gives whole nodes.
pub fn inclusion_path<E>(
    index: u64,
    size: u64,
    node: &mut dyn FnMut(Node) -> std::result::Result<Hash, E>,
) -> std::result::Result<Vec<Hash>, E> {
    if index >= size {
        return Ok(Vec::new());
    }
    inclusion_ranges(index, size).into_iter().map(|range| range_root(range, node)).collect()
}

/// Proves that the tree of `old` leaves is the beginning of that of `size` leaves; empty where that needs no proof, or is not so.
///
/// # Errors
/// What `node` fails with, which gives whole nodes.
pub fn consistency_path<E>(
    old: u64,
    size: u64,
    node: &mut dyn FnMut(Node) -> std::result::Result<Hash, E>,
) -> std::result::Result<Vec<Hash>, E> {
    if old == 0 || old >= size {
        return Ok(Vec::new());
    }
    consistency_ranges(old, size).into_iter().map(|range| range_root(range, node)).collect()
}

/// Whether `path` proves that `leaf` is number `index` (from 0) of the `size` leaves under `root`.
#[must_use]
pub fn is_included(leaf: &Hash, (index, size): (u64, u64), path: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let ranges = inclusion_ranges(index, size);
    if ranges.len() != path.len() {
        return false;
    }
    let climbed = ranges.iter().zip(path).fold(*leaf, |node, ((from, _), beside)| {
        if *from > index { node_hash(&node, beside) } else { node_hash(beside, &node) }
    });
    climbed == *root
}

/// Whether `path` proves that the tree of `old` leaves under `old_root` is the beginning of that of `size` leaves under `root`.
#[must_use]
pub fn is_consistent((old, old_root): (u64, &Hash), (size, root): (u64, &Hash), path: &[Hash]) -> bool {
    if old == 0 || old >= size {
        return path.is_empty() && (old == 0 && *old_root == empty_root() || (old, old_root) == (size, root));
    }
    let ranges = consistency_ranges(old, size);
    if ranges.len() != path.len() {
        return false;
    }
    // Without a first range that both trees share, the old root is itself that range.
    let is_shared = !old.is_power_of_two();
    let (first, rest) = if is_shared { (path[0], &path[1..]) } else { (*old_root, path) };
    let ranges = if is_shared { &ranges[1..] } else { &ranges[..] };
    let (mut was, mut is) = (first, first);
    for ((from, _), beside) in ranges.iter().zip(rest) {
        if *from < old {
            (was, is) = (node_hash(beside, &was), node_hash(beside, &is));
        } else {
            is = node_hash(&is, beside);
        }
    }
    was == *old_root && is == *root
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use ct_merkle::mem_backed_tree::MemoryBackedTree;
    use proptest::prelude::*;
    use sha2::Sha256;

    use super::*;

    fn leaves(n: u64) -> Vec<Vec<u8>> {
        (0..n).map(|n| format!("entry {n}").into_bytes()).collect()
    }

    /// Another's tree of the same leaves.
    fn other(n: u64) -> MemoryBackedTree<Sha256, Vec<u8>> {
        let mut tree = MemoryBackedTree::new();
        for leaf in leaves(n) {
            tree.push(leaf);
        }
        tree
    }

    fn edge(n: u64) -> Edge {
        let mut edge = Edge::default();
        for leaf in leaves(n) {
            edge.push(leaf_hash(&leaf), &mut |_, _| {});
        }
        edge
    }

    /// Any whole node, from the leaves up.
    #[expect(clippy::unnecessary_wraps, reason = "what proofs are made with may fail")]
    fn node((height, n): Node) -> Result<Hash, Infallible> {
        let mut edge = Edge::default();
        let range = (n << height)..((n + 1) << height);
        for n in range {
            edge.push(leaf_hash(format!("entry {n}").as_bytes()), &mut |_, _| {});
        }
        Ok(edge.root())
    }

    #[test]
    fn roots_are_those_of_another_implementation() {
        for n in (0..70).chain([255, 256, 257, 1000]) {
            assert_eq!(edge(n).root().as_slice(), other(n).root().as_bytes().as_slice(), "{n} leaves");
            assert_eq!(edge(n).size(), n);
        }
    }

    #[test]
    fn whole_nodes_are_told_once_each_with_their_hash() {
        let (mut edge, mut told) = (Edge::default(), Vec::new());
        for leaf in leaves(21) {
            edge.push(leaf_hash(&leaf), &mut |place, hash| told.push((place, hash)));
        }
        let mut places: Vec<_> = told.iter().map(|(place, _)| *place).collect();
        for (place, hash) in told {
            assert_eq!(node(place).unwrap(), hash, "{place:?}");
        }
        places.sort_unstable();
        let expected = (1..5).flat_map(|height| (0..21 >> height).map(move |n| (height, n))).collect::<Vec<_>>();
        assert_eq!(places, expected);
    }

    #[test]
    fn an_edge_of_nodes_is_that_of_leaves() {
        for n in 0..70 {
            let mut of_nodes = Edge::default();
            for place in whole_nodes(0, n) {
                of_nodes.push_node(place.0, node(place).unwrap(), &mut |_, _| {});
            }
            assert_eq!(of_nodes, edge(n));
        }
    }

    proptest! {
        #[test]
        fn inclusion_is_proved_as_another_proves_it(size in 1_u64..300, at in 0_u64..300, twist in 0_usize..12) {
            let index = at % size;
            let (leaf, root) = (leaf_hash(format!("entry {index}").as_bytes()), edge(size).root());
            let path = inclusion_path(index, size, &mut node).unwrap();
            let theirs = other(size).prove_inclusion(usize::try_from(index).unwrap());
            prop_assert_eq!(theirs.as_bytes(), &path.concat());
            prop_assert!(is_included(&leaf, (index, size), &path, &root));
            // Nothing else is proved by it.
            prop_assert!(!is_included(&leaf_hash(b"other"), (index, size), &path, &root));
            prop_assert!(!is_included(&leaf, (size, size), &path, &root));
            if size > 1 {
                prop_assert!(!is_included(&leaf, ((index + 1) % size, size), &path, &root));
                prop_assert!(!is_included(&leaf, (index, size), &path[1..], &root));
                let mut bent = path.clone();
                let n = twist % bent.len();
                bent[n][twist] ^= 1;
                prop_assert!(!is_included(&leaf, (index, size), &bent, &root));
            }
        }

        #[test]
        fn consistency_is_proved_as_another_proves_it(size in 2_u64..300, at in 0_u64..300, twist in 0_usize..12) {
            let old = 1 + at % (size - 1);
            let (old_root, root) = (edge(old).root(), edge(size).root());
            let path = consistency_path(old, size, &mut node).unwrap();
            let theirs = other(size).prove_consistency(usize::try_from(size - old).unwrap());
            prop_assert_eq!(theirs.as_bytes(), &path.concat());
            prop_assert!(is_consistent((old, &old_root), (size, &root), &path));
            prop_assert!(!is_consistent((old, &leaf_hash(b"x")), (size, &root), &path));
            prop_assert!(!is_consistent((old, &old_root), (size, &leaf_hash(b"x")), &path));
            let mut bent = path.clone();
            let n = twist % bent.len();
            bent[n][twist] ^= 1;
            prop_assert!(!is_consistent((old, &old_root), (size, &root), &bent));
            prop_assert!(!is_consistent((old, &old_root), (size, &root), &path[1..]));
        }
    }

    #[test]
    fn a_tree_is_consistent_with_itself_and_with_none() {
        let root = edge(5).root();
        assert!(is_consistent((5, &root), (5, &root), &[]));
        assert!(is_consistent((0, &empty_root()), (5, &root), &[]));
        assert!(!is_consistent((5, &edge(4).root()), (5, &root), &[]));
        assert!(!is_consistent((6, &root), (5, &root), &[]));
    }
}
