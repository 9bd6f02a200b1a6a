//! Programs of this machine, called with argument vectors.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin};

/// A program call. Built like [`std::process::Command`]; [`Command::run`] fails on a non-zero exit.
#[derive(Debug)]
pub struct Command {
    program: String,
    arguments: Vec<OsString>,
    environment: Vec<(String, String)>,
    input: Vec<u8>,
    limit: Option<Duration>,
    shown_as: Option<String>,
}

/// A program that could not be started, or failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The program is not there or may not be run.
    #[error("cannot start `{program}`")]
    Start {
        /// Its name.
        program: String,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The program ran and failed.
    #[error("`{call}` failed ({status}){}", tail(.stderr))]
    Failed {
        /// Program and arguments.
        call: String,
        /// Exit status or signal.
        status: String,
        /// The last lines it wrote to stderr.
        stderr: String,
    },
    /// The program did not end in time and was killed.
    #[error("`{call}` did not end within {seconds} s")]
    TimedOut {
        /// Program and arguments.
        call: String,
        /// The limit.
        seconds: u64,
    },
}

fn tail(stderr: &str) -> String {
    if stderr.is_empty() { String::new() } else { format!(":\n{stderr}") }
}

impl Command {
    /// A call of `program`, found through `PATH`, with at most ten minutes to run.
    pub fn new(program: impl Into<String>) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            input: Vec::new(),
            limit: Some(Duration::from_secs(600)),
            shown_as: None,
        }
    }

    /// A call of `program` that gets `signal` (`KILL`, `TERM`) when pgha ends, even if it crashes:
    /// half a build must not go on using the machine. It has no time limit.
    pub fn bound_to_pgha(signal: &str, program: &str) -> Self {
        let bound = Self::new("setpriv").args(["--pdeathsig", signal, program]);
        Self { limit: None, ..bound }
    }

    /// The name that errors show in place of its program and arguments.
    #[must_use]
    pub fn shown_as(self, call: impl Into<String>) -> Self {
        Self { shown_as: Some(call.into()), ..self }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// What the program reads from stdin. Default: nothing.
    #[must_use]
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = bytes.into();
        self
    }

    /// Runs it to its end and gives what it wrote to stdout.
    ///
    /// # Errors
    /// When it cannot start, exits with another status than 0, or runs longer than its limit.
    pub async fn run(self) -> Result<String, CommandError> {
        self.run_listening(|_| {}).await
    }

    /// As [`Command::run`], and hands each line of stderr to `listener` as soon as it is written.
    ///
    /// # Errors
    /// As [`Command::run`].
    pub async fn run_listening(self, listener: impl FnMut(&str)) -> Result<String, CommandError> {
        let start = |source| CommandError::Start { program: self.program.clone(), source };
        let mut child = self.spawn().map_err(start)?;
        let work = converse(&mut child, &self.input, listener);
        let ended = match self.limit {
            Some(limit) => tokio::time::timeout(limit, work).await.map_err(|_| self.late(limit))?,
            None => work.await,
        };
        let (status, output, log) = ended.map_err(start)?;
        if status.success() {
            return Ok(String::from_utf8_lossy(&output).into_owned());
        }
        let stderr = last_lines(&log, 12);
        Err(CommandError::Failed { call: self.call(), status: status.to_string(), stderr })
    }

    fn spawn(&self) -> std::io::Result<Child> {
        tokio::process::Command::new(&self.program)
            .args(&self.arguments)
            .env("PATH", search_path())
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
    }

    fn late(&self, limit: Duration) -> CommandError {
        CommandError::TimedOut { call: self.call(), seconds: limit.as_secs() }
    }

    fn call(&self) -> String {
        let arguments = self.arguments.iter().map(|argument| argument.to_string_lossy());
        let words = std::iter::once(self.program.as_str().into()).chain(arguments);
        self.shown_as.clone().unwrap_or_else(|| words.collect::<Vec<_>>().join(" "))
    }
}

/// Writes and reads at the same time: a program may write before it has read everything, and a
/// pipe's buffer is small.
async fn converse(
    child: &mut Child,
    input: &[u8],
    listener: impl FnMut(&str),
) -> std::io::Result<(std::process::ExitStatus, Vec<u8>, Vec<u8>)> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let ((), output, log) =
        tokio::join!(feed(stdin, input), gather(stdout), listen(stderr, listener));
    Ok((child.wait().await?, output, log))
}

/// It is no error if a program does not read its input: its exit status decides.
async fn feed(stdin: Option<ChildStdin>, input: &[u8]) {
    if let Some(mut stdin) = stdin {
        let _ = stdin.write_all(input).await;
    }
}

async fn gather(stdout: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut output = Vec::new();
    if let Some(mut stdout) = stdout {
        let _ = stdout.read_to_end(&mut output).await;
    }
    output
}

async fn listen(stderr: Option<impl AsyncRead + Unpin>, mut listener: impl FnMut(&str)) -> Vec<u8> {
    let mut log = Vec::new();
    let Some(mut lines) = stderr.map(BufReader::new) else { return log };
    loop {
        let begin = log.len();
        match lines.read_until(b'\n', &mut log).await {
            Ok(0) | Err(_) => return log,
            Ok(_) => listener(String::from_utf8_lossy(&log[begin..]).trim_end()),
        }
    }
}

/// Characters of a line that are shown.
const LINE: usize = 1000;

/// The last `count` lines of some output. Very long lines are shortened.
pub fn last_lines(bytes: &[u8], count: usize) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.trim_end().lines().collect::<Vec<_>>();
    let last = lines[lines.len().saturating_sub(count)..].iter();
    last.map(|line| shortened(line, LINE)).collect::<Vec<_>>().join("\n")
}

/// A text of at most `most` characters, with an ellipsis in place of the rest.
pub fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// Where `program` is, if `PATH` or the system directories have it.
pub fn find(program: &str) -> Option<PathBuf> {
    let dirs = search_path();
    std::env::split_paths(&dirs).map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// `PATH`, and the system directories: a plain `su` leaves those out.
pub fn search_path() -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let dirs = std::env::split_paths(&path).chain(system);
    std::env::join_paths(dirs).unwrap_or(path.clone())
}

/// Whether this process runs as root.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn more_than_a_pipe_holds_goes_in_and_out_at_once() {
        let text = "x".repeat(1 << 20);
        assert_eq!(Command::new("cat").input(text.clone()).run().await.unwrap(), text);
    }

    #[tokio::test]
    async fn a_program_that_reads_nothing_is_no_error() {
        let input = vec![0; 1 << 20];
        assert_eq!(Command::new("echo").arg("done").input(input).run().await.unwrap(), "done\n");
    }

    #[tokio::test]
    async fn a_failure_tells_call_status_and_last_lines() {
        let script = "seq 20 >&2; exit 3";
        let mut heard = Vec::new();
        let call = Command::new("sh").args(["-c", script]);
        let error = call.run_listening(|line| heard.push(line.to_owned())).await.unwrap_err();
        let lines = (9..=20).map(|n| n.to_string()).collect::<Vec<_>>().join("\n");
        let expected = format!("`sh -c {script}` failed (exit status: 3):\n{lines}");
        assert_eq!(error.to_string(), expected);
        assert_eq!(heard.len(), 20);
    }

    #[test]
    fn a_long_line_is_cut_between_two_characters() {
        let said = last_lines(format!("first\n{}\n", "\u{e9}".repeat(5000)).as_bytes(), 1);
        assert_eq!(said, format!("{}...", "\u{e9}".repeat(LINE)));
    }

    #[tokio::test]
    async fn one_that_does_not_end_is_ended() {
        let limit = Some(Duration::from_millis(50));
        let call = Command { limit, ..Command::new("sleep").arg("60") };
        let error = call.run().await.unwrap_err();
        assert!(matches!(error, CommandError::TimedOut { .. }), "{error}");
    }

    #[tokio::test]
    async fn one_that_cannot_start_is_named() {
        let error = Command::new("/nowhere/program").run().await.unwrap_err();
        assert_eq!(error.to_string(), "cannot start `/nowhere/program`");
    }
}
