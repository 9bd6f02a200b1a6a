//! Labels of a server that its provider itself goes by. All others are text to it.

use std::collections::BTreeMap;

/// Digest of the image it was given.
pub const IMAGE: &str = "image";
/// Digest of the seed it was given.
pub const SEED: &str = "seed";
/// `no` until what it was given has held a gate. What never did is nothing to go back to.
pub const PROVEN: &str = "proven";
/// Digest of the image it would go back to. Only read: the provider adds it.
pub const PREVIOUS_IMAGE: &str = "previous_image";

/// Whether what a server has becomes what there is to go back to, once it is given something else:
/// unless it never proved itself, and there is something that did.
pub fn becomes_previous(labels: &BTreeMap<String, String>, has_previous: bool) -> bool {
    let unproven = labels.get(PROVEN).is_some_and(|proven| proven == "no");
    !(unproven && has_previous)
}
