//! The size budget of disks: the compressed size of a disk, and the parts that take most of it.

use std::fs::File;
use std::io;
use std::path::Path;

use pgha_core::cluster::{Base, Cluster, RoleSet};
use pgha_core::manifest::{Content, Disk, Layer};
use pgha_platform::files::FileError;

use super::ImageError;

/// How many parts of a disk an error names.
const NAMED: usize = 5;

/// Measures a finished disk at `path`, which may differ from the final place in `file`.
pub(super) fn measure(
    path: &Path,
    file: Layer,
    mut contents: Vec<Content>,
) -> Result<Disk, FileError> {
    contents.sort_by_key(|content| std::cmp::Reverse(content.bytes));
    let compressed = compressed(path).map_err(FileError::at("compress", path))?;
    Ok(Disk { file, compressed, contents })
}

fn compressed(path: &Path) -> io::Result<u64> {
    let mut encoder =
        zstd::stream::read::Encoder::new(File::open(path)?, zstd::DEFAULT_COMPRESSION_LEVEL)?;
    io::copy(&mut encoder, &mut io::sink())
}

/// Refuses a disk that is larger than the cluster file allows for its base.
pub(super) fn check(
    cluster: &Cluster,
    base: Base,
    role_set: &RoleSet,
    disk: &Disk,
) -> Result<(), ImageError> {
    let of_base = match base {
        Base::Debian => 250,
        Base::Nixos => 450,
    };
    let budget_mb = cluster.size_budget_mb.unwrap_or(of_base);
    if disk.compressed <= u64::from(budget_mb) * 1_000_000 {
        return Ok(());
    }
    let named = disk
        .contents
        .iter()
        .take(NAMED)
        .map(|content| format!("{} {:.1} MB", content.name, mb(content.bytes)));
    Err(ImageError::OverBudget {
        role_set: role_set.to_string(),
        compressed_mb: mb(disk.compressed),
        budget_mb,
        contents: named.collect::<Vec<_>>().join(", "),
    })
}

fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
