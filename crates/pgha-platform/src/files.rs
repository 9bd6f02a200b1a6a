//! Files that are whole or absent, locks, and digests of large files.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg, OFlag};
use sha2::{Digest, Sha256};

use crate::clock;
use crate::place::{Place, resolve};

/// A file operation that failed, with the path it was about.
#[derive(Debug, thiserror::Error)]
#[error("cannot {verb} {}", path.display())]
pub struct FileError {
    verb: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl FileError {
    /// Whether the file is not there.
    pub fn is_missing(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }

    /// Replaces `here` by `there` at the beginning of the path.
    #[must_use]
    pub fn named(mut self, here: &Path, there: &Path) -> Self {
        if let Ok(rest) = self.path.strip_prefix(here) {
            self.path = there.join(rest);
        }
        self
    }

    /// Turns an I/O error about `path` into one that says so.
    pub fn at(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self { verb, path, source }
    }
}

/// Reads a text file.
///
/// # Errors
/// When it cannot be read or is not UTF-8.
pub fn read(path: &Path) -> Result<String, FileError> {
    fs::read_to_string(path).map_err(FileError::at("read", path))
}

/// The last bytes of a file, at most `most`.
///
/// # Errors
/// When it cannot be read.
pub fn end(path: &Path, most: u64) -> Result<Vec<u8>, FileError> {
    let read = || {
        let mut file = File::open(path)?;
        let begin = file.metadata()?.len().saturating_sub(most);
        file.seek(SeekFrom::Start(begin))?;
        let mut bytes = Vec::new();
        file.take(most).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map_err(FileError::at("read", path))
}

/// Writes a file so that it is the old one or the new one at any moment, even after a crash, and has
/// its mode from the start. A link stays a link; one that another user may have placed is refused.
///
/// # Errors
/// When it cannot be written, something other than a file is in its place, or another user may have
/// placed a link on the path.
pub fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
    fill(path, bytes, mode).map_err(FileError::at("write", path))
}

fn fill(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let place = Place::of(path)?;
    if fs::symlink_metadata(place.path()).is_ok_and(|there| !there.is_file()) {
        let why = "there is something else than a file";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    let permissions = Permissions::from_mode(mode);
    // Under a name that cannot be guessed, and only if that is free. The owner of the directory
    // must not read the file before others are shut out, nor have their link followed.
    let mut file =
        tempfile::Builder::new().permissions(permissions.clone()).tempfile_in(place.dir())?;
    file.write_all(bytes)?;
    // Restores the mode bits that the umask removed.
    file.as_file().set_permissions(permissions)?;
    file.as_file().sync_all()?;
    file.persist(place.path())?;
    Ok(())
}

/// Makes a directory and its parents.
///
/// # Errors
/// When it cannot be made, or another user may have placed a link on the path.
pub fn make_dir(path: &Path, mode: u32) -> Result<(), FileError> {
    let make = |path: PathBuf| fs::DirBuilder::new().recursive(true).mode(mode).create(path);
    resolve(path).and_then(make).map_err(FileError::at("create", path))
}

/// Makes a directory that only this user can look into, or closes an existing one to others.
///
/// # Errors
/// When it cannot be made, or belongs to another user.
pub fn private_dir(path: &Path) -> Result<(), FileError> {
    make_dir(path, 0o700)?;
    let close = || {
        let there = fs::metadata(path)?;
        if there.uid() != nix::unistd::geteuid().as_raw() {
            let why = format!("it belongs to user {}", there.uid());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
        }
        fs::set_permissions(path, Permissions::from_mode(0o700))
    };
    close().map_err(FileError::at("use", path))
}

/// Removes a file or a directory with all it holds. Absent is fine.
///
/// # Errors
/// When it cannot be removed.
pub fn remove(path: &Path) -> Result<(), FileError> {
    let result = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(FileError::at("remove", path)(error))
        }
        _ => Ok(()),
    }
}

/// SHA-256 of a file as 64 hexadecimal digits, and its length in bytes.
///
/// # Errors
/// When it cannot be read.
pub fn digest(path: &Path) -> Result<(String, u64), FileError> {
    let mut hasher = Sha256::new();
    let mut bytes = 0;
    let mut buffer = vec![0; 1 << 20];
    let mut file = File::open(path).map_err(FileError::at("read", path))?;
    loop {
        let count = file.read(&mut buffer).map_err(FileError::at("read", path))?;
        if count == 0 {
            return Ok((
                hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect(),
                bytes,
            ));
        }
        hasher.update(&buffer[..count]);
        bytes += count as u64;
    }
}

/// What happened to a file that had this SHA-256. Absent: it is unchanged.
///
/// # Errors
/// When it is there and cannot be read.
pub fn altered(path: &Path, sha256: &str) -> Result<Option<&'static str>, FileError> {
    match digest(path) {
        Ok((found, _)) if found == sha256 => Ok(None),
        Ok(_) => Ok(Some("has other bytes than when it was built")),
        Err(error) if error.is_missing() => Ok(Some("is gone")),
        Err(error) => Err(error),
    }
}

/// A lock that ends with the process, however it ends.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held for its Drop")] Flock<File>);

/// Takes the lock at `path`, or tells who holds it.
///
/// # Errors
/// `Ok(Err(holder))` when another process has it; an error when the file cannot be used.
pub fn lock(path: &Path, purpose: &str) -> Result<Result<Lock, String>, FileError> {
    let open = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        // The holder's name is written to it: it must not be a link to something else.
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(path);
    let file = open.map_err(FileError::at("open", path))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Err((mut file, _)) => {
            let mut holder = String::new();
            let _ = file.read_to_string(&mut holder);
            Ok(Err(holder.trim().to_owned()))
        }
        Ok(mut file) => {
            let (process, since) = (std::process::id(), clock::now());
            let note = format!("`{purpose}` (process {process}) since {since}");
            let done = file.set_len(0).and_then(|()| file.write_all(note.as_bytes()));
            done.map_err(FileError::at("write", path))?;
            Ok(Ok(Lock(file)))
        }
    }
}

/// Bytes free on the file system that holds `path`.
///
/// # Errors
/// When the file system cannot be asked.
pub fn free_bytes(path: &Path) -> Result<u64, FileError> {
    let stat = nix::sys::statvfs::statvfs(path)
        .map_err(|errno| FileError::at("examine", path)(errno.into()))?;
    Ok(stat.blocks_available() * stat.fragment_size())
}

/// Size in bytes of the file system that holds `path`, or will hold it.
///
/// # Errors
/// When the file system cannot be asked.
pub fn size(path: &Path) -> Result<u64, FileError> {
    let there = path.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(path);
    let stat = nix::sys::statvfs::statvfs(there)
        .map_err(|errno| FileError::at("examine", there)(errno.into()))?;
    Ok(stat.blocks() * stat.fragment_size())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_file_has_its_mode_whatever_was_there_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("seed");
        for (text, mode) in [("old", 0o644), ("new", 0o600)] {
            write(&path, text.as_bytes(), mode).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, mode);
        }
        assert_eq!(read(&path).unwrap(), "new");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_own_link_stays_one_and_what_is_no_file_stays_what_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let (link, disk) = (dir.path().join("link"), dir.path().join("disk"));
        write(&disk, b"old", 0o600).unwrap();
        symlink("disk", &link).unwrap();
        write(&link, b"new", 0o600).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink() && read(&disk).unwrap() == "new");
        let error = write(dir.path(), b"", 0o600).unwrap_err();
        assert_eq!(error.source.to_string(), "there is something else than a file");
    }

    #[test]
    fn a_lock_is_no_link() {
        let dir = tempfile::tempdir().unwrap();
        let (path, precious) = (dir.path().join("lock"), dir.path().join("precious"));
        fs::write(&precious, "data").unwrap();
        symlink(&precious, &path).unwrap();
        assert!(lock(&path, "a test").is_err() && read(&precious).unwrap() == "data");
    }

    #[test]
    fn a_private_directory_is_closed_to_others() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state/demo");
        fs::create_dir_all(&path).unwrap();
        private_dir(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
    }
}
