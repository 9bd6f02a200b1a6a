//! A disk that is written by Hetzner's rescue system, which runs from memory.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pgha_platform::ssh::{Patience, Session, SshError};
use tokio::time::{Instant, sleep};

/// A rescue system that does not answer after this long never does.
const BOOT: Duration = Duration::from_secs(300);

/// Between two tries to reach it.
const PAUSE: Duration = Duration::from_secs(2);

/// For a whole disk. A network that takes no byte for a minute is broken.
const PATIENCE: Patience =
    Patience { stall: Duration::from_secs(60), whole: Duration::from_secs(30 * 60) };

/// How often somebody who waits hears how far it is.
const WORD: Duration = Duration::from_secs(10);

/// The bytes of a disk.
#[derive(Debug, Clone, Copy)]
pub struct Disk<'d> {
    /// The file, compressed with zstd.
    pub file: &'d Path,
    /// Bytes of the disk itself.
    pub bytes: u64,
    /// SHA-256 of the disk itself, as 64 hexadecimal digits.
    pub sha256: &'d str,
}

/// Why a disk was not written.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The rescue system could not be reached, or one of its programs failed.
    #[error(transparent)]
    Ssh(#[from] SshError),
    /// The file cannot be read.
    #[error("cannot read {path}")]
    File {
        /// Its path.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The server has no disk that can be written, or more than one.
    #[error("the rescue system of the server shows {0} disks instead of one")]
    Disks(usize),
    /// It does not run from memory, as a rescue system does.
    #[error("the system of the server has {0} mounted on {1}: it is not the rescue system")]
    InUse(String, String),
    /// The disk is smaller than the image.
    #[error("the server's disk has {has} bytes, the image {wants}")]
    TooSmall {
        /// Bytes of the disk.
        has: u64,
        /// Bytes of the image.
        wants: u64,
    },
    /// What was written is not what was sent.
    #[error("the disk holds other bytes than were sent: SHA-256 {has} instead of {wants}")]
    Altered {
        /// Of what the disk holds.
        has: String,
        /// Of the image.
        wants: String,
    },
}

/// Writes a disk, reads it back and powers the server off.
pub(super) async fn write(address: Ipv4Addr, key: &str, disk: &Disk<'_>) -> Result<(), DiskError> {
    let session = reached(address, key).await?;
    let device = only_disk(&session, disk.bytes).await?;
    // Later only blocks with content are written: what the image has as zeros must be zeros before.
    session.run(&["blkdiscard", "--force", &device], b"").await?;
    send(&session, &device, disk).await?;
    check(&session, &device, disk).await?;
    // The connection may end before the answer.
    let _ = session.answer(&["systemctl", "poweroff"]).await;
    Ok(())
}

async fn reached(address: Ipv4Addr, key: &str) -> Result<Session, SshError> {
    let until = Instant::now() + BOOT;
    loop {
        match Session::connect_unverified(address, key).await {
            Err(error) if Instant::now() < until => {
                tracing::debug!("{error}");
                sleep(PAUSE).await;
            }
            outcome => return outcome,
        }
    }
}

/// The device of the only disk, which must be large enough and not in use.
async fn only_disk(session: &Session, wants: u64) -> Result<String, DiskError> {
    let list =
        ["lsblk", "--list", "--noheadings", "--bytes", "--output=PATH,SIZE,TYPE,RO,MOUNTPOINTS"];
    let text = session.answer(&list).await?;
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let lines = lines.filter(|words| words.len() >= 4).collect::<Vec<_>>();
    let is_part = |words: &&Vec<&str>| words[2] == "disk" || words[2] == "part";
    if let Some(used) = lines.iter().filter(is_part).find(|words| words.len() > 4) {
        return Err(DiskError::InUse(used[0].to_owned(), used[4].to_owned()));
    }
    let disks = lines.iter().filter(|words| words[2..4] == ["disk", "0"]).collect::<Vec<_>>();
    let [disk] = &disks[..] else { return Err(DiskError::Disks(disks.len())) };
    let has = disk[1].parse().unwrap_or_default();
    match has < wants {
        true => Err(DiskError::TooSmall { has, wants }),
        false => Ok(disk[0].to_owned()),
    }
}

async fn send(session: &Session, device: &str, disk: &Disk<'_>) -> Result<(), DiskError> {
    let cannot = |source| DiskError::File { path: disk.file.display().to_string(), source };
    let file = tokio::fs::File::open(disk.file).await.map_err(cannot)?;
    let length = file.metadata().await.map_err(cannot)?.len();
    let (sent, began) = (Arc::new(AtomicU64::new(0)), Instant::now());
    let write = "set -o pipefail; zstd -dc | dd of=\"$0\" bs=4M iflag=fullblock conv=sparse,fsync status=none";
    let call = ["bash", "-c", write, device];
    let file = tokio::io::BufReader::with_capacity(1 << 20, file);
    tokio::select! {
        written = session.feed(&call, file, &sent, PATIENCE) => written.map(drop)?,
        () = tell(&sent, length) => {}
    }
    let (megabytes, seconds) = (length as f64 / 1e6, began.elapsed().as_secs_f64());
    tracing::info!("{megabytes:.0} MB sent in {seconds:.1} s, {:.1} MB/s", megabytes / seconds);
    Ok(())
}

/// Says how far it is, for ever.
async fn tell(sent: &AtomicU64, length: u64) {
    let began = Instant::now();
    loop {
        sleep(WORD).await;
        let done = sent.load(Ordering::Relaxed);
        let rate = done as f64 / began.elapsed().as_secs_f64();
        let left = length.saturating_sub(done) as f64 / rate.max(1.0);
        let mb = |bytes: f64| bytes / 1e6;
        tracing::info!(
            "{:.0} of {:.0} MB sent, {:.1} MB/s, about {left:.0} s left",
            mb(done as f64),
            mb(length as f64),
            mb(rate)
        );
    }
}

/// Past the page cache: what is compared is what the disk has.
async fn check(session: &Session, device: &str, disk: &Disk<'_>) -> Result<(), DiskError> {
    let read = "set -o pipefail; blockdev --flushbufs \"$0\" && dd if=\"$0\" bs=4M iflag=direct,count_bytes count=\"$1\" status=none | sha256sum";
    let bytes = disk.bytes.to_string();
    let call = ["bash", "-c", read, device, &bytes];
    let nothing = tokio::io::empty();
    let text = session.feed(&call, nothing, &Arc::default(), PATIENCE).await?;
    let has = text.split_whitespace().next().unwrap_or_default();
    match has == disk.sha256 {
        true => Ok(()),
        false => Err(DiskError::Altered { has: has.to_owned(), wants: disk.sha256.to_owned() }),
    }
}
