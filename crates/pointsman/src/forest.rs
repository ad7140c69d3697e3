//! The forest, laid out for walking: eight trees abreast, each step without a branch.
//!
//! A walk down one tree is a chain of loads that wait for each other; eight of them share the waiting. A leaf points to
//! itself, so every tree takes as many steps as the deepest of its eight, and nothing has to be asked on the way.

use crate::artifact::{LEAF, Weights};

/// Trees walked at once.
const ABREAST: usize = 8;

#[derive(Clone, Debug)]
pub(crate) struct Forest {
    nodes: Vec<Node>,
    groups: Vec<Group>,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    /// From this value on the right child is taken; in a leaf infinity, which no signal reaches.
    threshold: f32,
    /// The left child; the right one stands behind it. A leaf names itself.
    child: u32,
    /// The signal looked at; in a leaf its number.
    signal: u32,
}

/// Trees that are walked together.
#[derive(Clone, Debug)]
struct Group {
    /// First nodes; where there are fewer than eight trees, the first is repeated.
    roots: [u32; ABREAST],
    trees: usize,
    /// Steps to the deepest leaf.
    depth: usize,
}

impl Forest {
    /// Lays out validated weights: children stand behind their parents, so every walk ends.
    pub(crate) fn new(weights: &Weights) -> Self {
        let inner = weights.node_signal.iter().zip(&weights.node_threshold).zip(&weights.node_child);
        let nodes = (0_u32..)
            .zip(inner)
            .map(|(place, ((&signal, &threshold), &child))| match signal {
                LEAF => Node { threshold: f32::INFINITY, child: place, signal: child },
                _ => Node { threshold, child, signal: u32::from(signal) },
            })
            .collect();
        let depths = depths(weights);
        let groups = weights.root.chunks(ABREAST).map(|trees| {
            let mut roots = [trees[0]; ABREAST];
            roots[..trees.len()].copy_from_slice(trees);
            let depth = trees.iter().map(|&root| depths[root as usize]).max().unwrap_or(0);
            Group { roots, trees: trees.len(), depth }
        });
        Self { groups: groups.collect(), nodes }
    }

    /// Calls `visit` with the leaf that `signals` come to in every tree, tree by tree.
    #[inline(always)]
    pub(crate) fn for_each_leaf(&self, signals: &[f32], mut visit: impl FnMut(usize)) {
        for group in &self.groups {
            let mut places = group.roots;
            for _ in 0..group.depth {
                for place in &mut places {
                    let node = self.nodes[*place as usize];
                    // A leaf looks anywhere, for nothing reaches its threshold.
                    let signal = signals[(node.signal as usize).min(signals.len() - 1)];
                    *place = node.child + u32::from(signal >= node.threshold);
                }
            }
            for place in &places[..group.trees] {
                visit(self.nodes[*place as usize].signal as usize);
            }
        }
    }
}

/// Steps from every node to its deepest leaf; 0 for a leaf.
fn depths(weights: &Weights) -> Vec<usize> {
    let mut depths = vec![0; weights.node_signal.len()];
    // Children stand behind their parents.
    for node in (0..depths.len()).rev().filter(|&node| weights.node_signal[node] != LEAF) {
        let left = weights.node_child[node] as usize;
        depths[node] = 1 + usize::max(depths[left], depths[left + 1]);
    }
    depths
}
