//! A merged prefix tree, flattened: address -> (region, depth of the match).

use crate::model::RegionId;

/// One family's addresses, each in exactly one leaf; addresses are left-aligned in a `u128`.
#[derive(Clone, Debug)]
pub struct Tree {
    leaves: Vec<(u128, u8, RegionId)>,
}

impl Tree {
    /// How many leaves it has.
    pub fn len(&self) -> usize {
        self.leaves.len()
    }

    /// Never: there is always a leaf.
    pub fn is_empty(&self) -> bool {
        self.leaves.is_empty()
    }
}
