//! Where a path leads when root writes to it in another user's directory.
//!
//! Another user may have placed a link there, or may place one a moment later. Links that no other
//! user could have placed are followed, as they always were: a user may keep secrets on another
//! disk.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::Mode;

/// As many links as the kernel follows.
const MOST_LINKS: u32 = 40;

/// A name in a directory that is held open, so that the directory cannot be replaced by another
/// one.
pub struct Place {
    dir: OwnedFd,
    name: OsString,
}

impl Place {
    /// Where `path` leads. Nothing needs to exist there.
    ///
    /// # Errors
    /// When its directory does not exist, or another user may have placed a link on the path.
    pub fn of(path: &Path) -> io::Result<Self> {
        let real = resolve(path)?;
        let nameless = || io::Error::new(io::ErrorKind::InvalidInput, "it has no name of its own");
        let (dir, name) = real.parent().zip(real.file_name()).ok_or_else(nameless)?;
        Ok(Self { dir: enter(dir)?, name: name.to_owned() })
    }

    /// The directory, even if its path changes meanwhile.
    pub fn dir(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.dir.as_raw_fd()))
    }

    /// The path of the name in it.
    pub fn path(&self) -> PathBuf {
        self.dir().join(&self.name)
    }
}

/// Opens a directory by a path without links, one name at a time. A link that was placed there
/// since then is refused.
fn enter(dir: &Path) -> io::Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let mut held = open("/", flags, Mode::empty())?;
    for name in dir.iter().filter(|name| *name != OsStr::new("/")) {
        held = openat(&held, name, flags, Mode::empty())?;
    }
    Ok(held)
}

/// The path with all links resolved. Parts that do not exist yet stay as they are.
///
/// # Errors
/// When another user may have placed a link on the path, or links form a cycle.
pub fn resolve(path: &Path) -> io::Result<PathBuf> {
    follow(&std::path::absolute(path)?, MOST_LINKS)
}

fn follow(path: &Path, links: u32) -> io::Result<PathBuf> {
    let mut real = PathBuf::from("/");
    for part in path.components() {
        match part {
            Component::ParentDir => drop(real.pop()),
            Component::Normal(name) => real = step(&real, name, links)?,
            _ => {}
        }
    }
    Ok(real)
}

fn step(dir: &Path, name: &OsStr, links: u32) -> io::Result<PathBuf> {
    let link = dir.join(name);
    let Ok(target) = fs::read_link(&link) else {
        return Ok(link);
    };
    let links = links.checked_sub(1).ok_or(nix::errno::Errno::ELOOP)?;
    let real = follow(&dir.join(target), links)?;
    if is_trusted(dir, &link, &real)? {
        return Ok(real);
    }
    let why = format!("{} is a link that another user may have placed", link.display());
    Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
}

/// Whether the link belongs to root, to this user, or to the owner of its target, who could write
/// there without it. And no other user may be able to replace it.
fn is_trusted(dir: &Path, link: &Path, real: &Path) -> io::Result<bool> {
    let (dir, link) = (fs::symlink_metadata(dir)?, fs::symlink_metadata(link)?);
    let ours = [0, nix::unistd::geteuid().as_raw()];
    let is_sticky = dir.mode() & 0o1000 != 0;
    let is_kept = ours.contains(&dir.uid()) || dir.uid() == link.uid();
    let is_kept = is_kept && (is_sticky || dir.mode() & 0o022 == 0);
    Ok(is_kept && (ours.contains(&link.uid()) || owner(real) == Some(link.uid())))
}

/// The owner of the path, or, while it does not exist, of its nearest existing parent.
fn owner(path: &Path) -> Option<u32> {
    path.ancestors().find_map(|path| fs::symlink_metadata(path).ok()).map(|found| found.uid())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, lchown, symlink};

    use super::*;

    const STRANGER: u32 = 65_534;

    #[test]
    fn a_link_of_ones_own_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().canonicalize().unwrap();
        fs::create_dir(real.join("disk")).unwrap();
        symlink("disk", real.join("secrets")).unwrap();
        symlink(real.join("nowhere"), real.join("dangling")).unwrap();
        assert_eq!(resolve(&real.join("secrets/../secrets/a")).unwrap(), real.join("disk/a"));
        assert_eq!(resolve(&real.join("dangling")).unwrap(), real.join("nowhere"));
        symlink("circle", real.join("circle")).unwrap();
        assert!(resolve(&real.join("circle")).is_err());
    }

    #[test]
    fn a_link_that_a_stranger_may_have_placed_is_refused() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let theirs = dir.path().join("theirs");
        fs::create_dir(&theirs).unwrap();
        symlink("/etc/passwd", theirs.join("a")).unwrap();
        symlink("/etc", theirs.join("b")).unwrap();
        symlink("c", theirs.join("own")).unwrap();
        assert!(resolve(&theirs.join("a")).is_ok());
        // Where others can write, another user may have renamed root's own link.
        fs::set_permissions(&theirs, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(resolve(&theirs.join("a")).is_err() && Place::of(&theirs.join("b/x")).is_err());
        fs::set_permissions(&theirs, fs::Permissions::from_mode(0o755)).unwrap();
        for path in [theirs.clone(), theirs.join("own")] {
            lchown(path, Some(STRANGER), None).unwrap();
        }
        assert!(resolve(&theirs.join("a")).is_err());
        lchown(theirs.join("a"), Some(STRANGER), None).unwrap();
        assert!(resolve(&theirs.join("a")).is_err());
        // A link to what belongs to the same user anyway.
        assert!(resolve(&theirs.join("own")).is_ok());
    }

    #[test]
    fn a_directory_that_is_held_stays_it() {
        let dir = tempfile::tempdir().unwrap();
        let held = dir.path().join("held");
        fs::create_dir(&held).unwrap();
        let place = Place::of(&held.join("file")).unwrap();
        fs::rename(&held, dir.path().join("moved")).unwrap();
        symlink("/etc", &held).unwrap();
        fs::write(place.path(), "x").unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("moved/file")).unwrap(), "x");
        assert!(enter(&held).is_err());
    }
}
