//! Arguments of `build`, and the bases by name.

use std::path::PathBuf;

use clap::Args;

/// What to build.
#[derive(Args)]
pub(crate) struct BuildArgs {
    /// Operating system of the images. Default: the cluster file's.
    #[arg(long, value_enum)]
    pub(crate) base: Option<BaseName>,
    /// Build the package root anew, from today's packages.
    #[arg(long)]
    pub(crate) refresh: bool,
    /// Build N times from nothing and compare the bytes. With the NixOS base the disk alone is built
    /// again, from the same system.
    #[arg(
        long,
        value_name = "N",
        num_args = 0..=1,
        default_missing_value = "2",
        value_parser = clap::value_parser!(u32).range(2..),
        conflicts_with = "refresh"
    )]
    pub(crate) verify_reproducible: Option<u32>,
    /// Also assemble a raw disk for each role set, for virtual machines: BIOS and UEFI, serial
    /// console.
    #[arg(long, conflicts_with = "verify_reproducible")]
    pub(crate) disk: bool,
    /// A nixpkgs of your own in place of the pinned one, for the NixOS base.
    #[arg(long, env = "PGHA_NIXPKGS", value_name = "DIR")]
    pub(crate) nixpkgs: Option<PathBuf>,
}

/// The bases by name.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum BaseName {
    Debian,
    Nixos,
}

impl From<BaseName> for pgha_core::cluster::Base {
    fn from(name: BaseName) -> Self {
        match name {
            BaseName::Debian => Self::Debian,
            BaseName::Nixos => Self::Nixos,
        }
    }
}
