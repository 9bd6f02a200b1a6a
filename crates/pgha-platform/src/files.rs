//! Files that are whole or absent, locks, and digests of large files.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use sha2::{Digest, Sha256};

use crate::clock;

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

/// Writes a file so that it is the old one or the new one at any moment, also after a crash. A link
/// stays one.
///
/// # Errors
/// When it cannot be written, or something else than a file is in its place.
pub fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        let why =
            io::Error::new(io::ErrorKind::InvalidInput, "there is something else than a file");
        return Err(FileError::at("write", path)(why));
    }
    let temporary = path.with_extension(format!("tmp{}", std::process::id()));
    let fill = || -> io::Result<()> {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(&temporary)?;
        file.write_all(bytes)?;
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    fill().map_err(FileError::at("write", path))
}

/// Makes a directory and its parents.
///
/// # Errors
/// When it cannot be made.
pub fn make_dir(path: &Path, mode: u32) -> Result<(), FileError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        .map_err(FileError::at("create", path))
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
