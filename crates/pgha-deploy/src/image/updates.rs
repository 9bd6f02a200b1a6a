//! Security updates of the packages in the newest package root. Only the package source is asked, never a node.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use pgha_core::Digest;
use pgha_platform::files::{self, FileError};
use serde::{Deserialize, Serialize};

use super::package_root::PackageRoot;
use super::recipe::{self, recipe_files};
use super::{ImageError, package_root};

const RECIPE: &[(&str, &str)] = recipe_files!["debian/": "updates.sh"];

/// How long an answer of the source stays fresh, so that not every build asks.
const FRESH: SignedDuration = SignedDuration::from_hours(24);

/// An answer older than this is not relied on any more.
const STALE: SignedDuration = SignedDuration::from_hours(24 * 7);

/// The source's answer for a package root.
#[derive(Serialize, Deserialize)]
struct Answer {
    /// The package root it is about: a newer one makes it void.
    package_root: Digest,
    asked: Timestamp,
    /// Name and version of the root's packages that come from a security archive today.
    versions: BTreeMap<String, String>,
}

/// Asks the source, unless it has answered within a day.
pub(super) async fn ask(cache: &Path, root: &PackageRoot) -> Result<(), ImageError> {
    if known(cache, root).is_some_and(|answer| age(answer.asked) < FRESH) {
        return Ok(());
    }
    let dir = package_root::dir(cache);
    // A build would sweep the directory.
    let _alone = package_root::alone(&dir).await?;
    let work = tempfile::tempdir_in(&dir).map_err(FileError::at("create", &dir))?;
    let packages = package_root::packages();
    let recipe = [RECIPE, &[("packages.txt", &packages)]].concat();
    let recipe = recipe::unpack(&recipe, work.path())?;
    let out = work.path().join("versions");
    let arguments: [&OsStr; 2] = [recipe.as_ref(), out.as_ref()];
    tracing::info!("package root: asking for security updates");
    let script = recipe.join("updates.sh");
    let run = recipe::run("security updates", &script, arguments).await;
    run.map_err(ImageError::Updates)?;
    let text = files::read(&out)?;
    let versions = text.lines().filter_map(|line| line.split_once(' '));
    let versions = versions.map(|(name, version)| (name.to_owned(), version.to_owned())).collect();
    let package_root = root.layer.sha256.clone();
    let answer = Answer { package_root, asked: Timestamp::now(), versions };
    let text = serde_json::to_string_pretty(&answer).unwrap_or_default();
    Ok(files::write(&note(cache), text.as_bytes(), 0o644)?)
}

/// What is known about the newest package root, as text for people. Absent: it has every update.
pub(super) fn remark(cache: &Path, root: &PackageRoot) -> Option<String> {
    let Some(answer) = known(cache, root).filter(|answer| age(answer.asked) < STALE) else {
        let built = root.built(cache)?;
        let days = age(built).as_hours() / 24;
        return (age(built) >= STALE).then(|| {
            format!("the image's packages are {days} days old, and nobody has asked for security updates for a week: `pgha build` does")
        });
    };
    // Patroni does not come from Debian.
    let is_old = |(name, version): &(&String, &String)| {
        *name != "patroni" && root.packages.get(*name).is_some_and(|has| has != *version)
    };
    let old = answer.versions.iter().filter(is_old).map(|(name, _)| name.as_str());
    let old = old.collect::<Vec<_>>();
    (!old.is_empty()).then(|| {
        format!(
            "{} packages of the image have security updates ({}), as of {} h ago: `pgha build --refresh`, then `pgha apply`",
            old.len(),
            old.join(", "),
            age(answer.asked).as_hours()
        )
    })
}

fn known(cache: &Path, root: &PackageRoot) -> Option<Answer> {
    let answer: Answer = serde_json::from_str(&files::read(&note(cache)).ok()?).ok()?;
    Some(answer).filter(|answer| answer.package_root == root.layer.sha256)
}

fn note(cache: &Path) -> PathBuf {
    package_root::dir(cache).join("updates.json")
}

fn age(time: Timestamp) -> SignedDuration {
    Timestamp::now().duration_since(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(libc: &str) -> PackageRoot {
        let layer = super::super::layer(Path::new("/nowhere"), format!("{libc:0>64}"), 0);
        let packages = [("libc6".to_owned(), libc.to_owned()), ("gzip".to_owned(), "1".to_owned())];
        PackageRoot { layer, packages: packages.into(), build_seconds: 1.0 }
    }

    #[test]
    fn an_answer_is_about_one_package_root_and_grows_old() {
        let dir = tempfile::tempdir().expect("a directory");
        files::make_dir(&package_root::dir(dir.path()), 0o755).expect("made");
        let write = |root: &PackageRoot, hours: i64| {
            let answer = Answer {
                package_root: root.layer.sha256.clone(),
                asked: Timestamp::now() - SignedDuration::from_hours(hours),
                versions: [("libc6".to_owned(), "2".to_owned())].into(),
            };
            let text = serde_json::to_string(&answer).expect("text");
            files::write(&note(dir.path()), text.as_bytes(), 0o644).expect("written");
        };
        let (old, new) = (root("1"), root("2"));
        write(&old, 3);
        let said = remark(dir.path(), &old).expect("an update");
        assert!(
            said.starts_with(
                "1 packages of the image have security updates (libc6), as of 3 h ago"
            ),
            "{said}"
        );
        assert_eq!(remark(dir.path(), &new), None, "that was about another");
        write(&new, 3);
        assert_eq!(remark(dir.path(), &new), None);
        write(&old, 24 * 8);
        assert_eq!(remark(dir.path(), &old), None, "nobody knows when it was built");
    }
}
