//! Merkle roots over a block's transactions, with the mutation that fooled them (CVE-2012-2459) detected.

use crate::hash::sha256d;

/// A Merkle root and whether its leaves could have been made by duplicating the end of a shorter list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MerkleRoot {
    /// The root; zeros for no leaves.
    pub root: [u8; 32],
    /// Two equal nodes stood side by side, so that a list without the second has the same root (CVE-2012-2459).
    /// The bytes are bad then, but the block's id may belong to a good block.
    pub mutated: bool,
}

/// The Merkle root of some leaves (Bitcoin Core `consensus/merkle.cpp`, `ComputeMerkleRoot`).
pub fn merkle_root(mut nodes: Vec<[u8; 32]>) -> MerkleRoot {
    let mut mutated = false;
    while nodes.len() > 1 {
        mutated |= nodes.chunks_exact(2).any(|pair| pair[0] == pair[1]);
        if !nodes.len().is_multiple_of(2) {
            nodes.push(nodes[nodes.len() - 1]);
        }
        for index in 0..nodes.len() / 2 {
            nodes[index] = join(&nodes[2 * index], &nodes[2 * index + 1]);
        }
        nodes.truncate(nodes.len() / 2);
    }
    MerkleRoot { root: nodes.first().copied().unwrap_or_default(), mutated }
}

/// The siblings on the way from leaf `index` to the root, lowest first, as mining pools ask for them.
pub fn merkle_path(mut nodes: Vec<[u8; 32]>, mut index: usize) -> Vec<[u8; 32]> {
    let mut path = Vec::new();
    while nodes.len() > 1 {
        if !nodes.len().is_multiple_of(2) {
            nodes.push(nodes[nodes.len() - 1]);
        }
        path.push(nodes[index ^ 1]);
        for pair in 0..nodes.len() / 2 {
            nodes[pair] = join(&nodes[2 * pair], &nodes[2 * pair + 1]);
        }
        nodes.truncate(nodes.len() / 2);
        index /= 2;
    }
    path
}

fn join(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    let mut both = [0; 64];
    both[..32].copy_from_slice(left);
    both[32..].copy_from_slice(right);
    sha256d(&both)
}

#[cfg(test)]
mod tests {
    use super::{join, merkle_path, merkle_root};

    fn leaves(count: u8) -> Vec<[u8; 32]> {
        (0..count).map(|index| [index; 32]).collect()
    }

    #[test]
    fn a_duplicated_tail_has_the_same_root_and_is_flagged() {
        let honest = merkle_root(leaves(3));
        let mut duplicated = leaves(3);
        duplicated.push(duplicated[2]);
        let forged = merkle_root(duplicated);
        assert_eq!(honest.root, forged.root);
        assert!(!honest.mutated && forged.mutated);
    }

    #[test]
    fn one_leaf_is_its_own_root_and_none_give_zeros() {
        assert_eq!(merkle_root(leaves(1)).root, [0; 32]);
        assert_eq!(merkle_root(vec![[9; 32]]).root, [9; 32]);
        assert_eq!(merkle_root(Vec::new()).root, [0; 32]);
    }

    #[test]
    fn paths_lead_to_the_root() {
        for count in 1..20 {
            for index in 0..usize::from(count) {
                let mut node = leaves(count)[index];
                for (level, sibling) in merkle_path(leaves(count), index).iter().enumerate() {
                    let right = (index >> level) & 1 == 1;
                    node = if right { join(sibling, &node) } else { join(&node, sibling) };
                }
                assert_eq!(node, merkle_root(leaves(count)).root);
            }
        }
    }
}
