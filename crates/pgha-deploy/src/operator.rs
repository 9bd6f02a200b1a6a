//! What an operator works with.

use pgha_core::manifest::Manifest;
use pgha_core::plan::Desired;
use pgha_core::render::Rendered;

use crate::archive::Archive;
use crate::journal::Journal;
use crate::secrets::Secrets;

/// Everything plans are made from and carried out with.
pub struct Operator<'o, P, D> {
    /// Where servers run.
    pub provider: &'o P,
    /// The cluster's daemons.
    pub daemons: &'o D,
    /// What the cluster should be.
    pub desired: Desired<'o>,
    /// Its files.
    pub rendered: &'o Rendered,
    /// Its images.
    pub manifest: &'o Manifest,
    /// Its secrets.
    pub secrets: &'o Secrets,
    /// What its nodes boot from.
    pub archive: &'o Archive,
    /// Where steps are noted.
    pub journal: &'o Journal,
    /// Whether a node may be given something new only if it could go back to what it runs now.
    pub way_back: bool,
}
