//! A program of a host that is fed with more than fits into memory.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};

use super::{Output, Session, SshError};

/// How long a program that takes no more input has to say why.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// How long a program may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Without taking a byte of its input.
    pub stall: Duration,
    /// From its start to its end.
    pub whole: Duration,
}

impl Session {
    /// Runs a program that reads `input` to its end, and gives its stdout. `sent` counts the bytes.
    ///
    /// # Errors
    /// When it fails, takes longer than `patience`, or the connection breaks.
    pub async fn feed(
        &self,
        arguments: &[&str],
        input: impl AsyncRead + Unpin + Send,
        sent: &Arc<AtomicU64>,
        patience: Patience,
    ) -> Result<String, SshError> {
        let ended = Arc::new(AtomicBool::new(false));
        let input = Counted { input, sent: Arc::clone(sent), ended: Arc::clone(&ended) };
        let work = tokio::time::timeout(patience.whole, self.pour(arguments, input));
        let output = tokio::select! {
            result = work => match result {
                Ok(result) => result.map_err(|error| SshError::Session(self.address, error))?,
                Err(_) => return Err(self.late(arguments, patience.whole.as_secs())),
            },
            () = stalled(sent, &ended, patience.stall) => {
                let seconds = patience.stall.as_secs();
                return Err(self.failed(arguments, format!("it took no byte for {seconds} s"), ""));
            }
        };
        self.succeeded(arguments, output)
    }

    async fn pour(
        &self,
        arguments: &[&str],
        input: impl AsyncRead + Unpin + Send,
    ) -> Result<Output, russh::Error> {
        let (mut read, write) = self.start(arguments).await?.split();
        let mut send = pin!(async {
            write.data(input).await?;
            write.eof().await
        });
        let mut receive = pin!(super::collect(&mut read));
        tokio::select! {
            // It ended before its input did, and its words say why.
            output = &mut receive => Ok(output),
            sent = &mut send => match sent {
                Ok(()) => Ok(receive.await),
                // Its end may be on its way, and says more than a connection that takes nothing any more.
                Err(error) => match tokio::time::timeout(LAST_WORDS, receive).await {
                    Ok(output) if output.status.is_some() => Ok(output),
                    _ => Err(error),
                },
            }
        }
    }
}

/// Returns once no byte has moved for `limit`, before the end of the input.
async fn stalled(sent: &AtomicU64, ended: &AtomicBool, limit: Duration) {
    let mut before = None;
    loop {
        let now = sent.load(Ordering::Relaxed);
        if before == Some(now) && !ended.load(Ordering::Relaxed) {
            return;
        }
        before = Some(now);
        tokio::time::sleep(limit).await;
    }
}

/// Counts what is read of it.
struct Counted<R> {
    input: R,
    sent: Arc<AtomicU64>,
    ended: Arc<AtomicBool>,
}

impl<R: AsyncRead + Unpin> AsyncRead for Counted<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.input).poll_read(context, buffer);
        if let Poll::Ready(Ok(())) = polled {
            let read = buffer.filled().len() - before;
            self.sent.fetch_add(read as u64, Ordering::Relaxed);
            self.ended.store(read == 0, Ordering::Relaxed);
        }
        polled
    }
}
