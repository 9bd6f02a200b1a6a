//! Programs of this machine, called with argument vectors.

use std::ffi::{OsStr, OsString};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;

/// A program call. Built like [`std::process::Command`]; [`Command::run`] fails on a non-zero exit.
#[derive(Debug)]
pub struct Command {
    program: String,
    arguments: Vec<OsString>,
    environment: Vec<(String, String)>,
    input: Vec<u8>,
    limit: Duration,
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
        let limit = Duration::from_secs(600);
        Self {
            program: program.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            input: Vec::new(),
            limit,
        }
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
        let call = self.call();
        let start = |source| CommandError::Start { program: self.program.clone(), source };
        let mut child = tokio::process::Command::new(&self.program)
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(start)?;
        if let Some(mut stdin) = child.stdin.take() {
            // A program that does not read its input is no error; its exit status tells.
            let _ = stdin.write_all(&self.input).await;
        }
        let ended = tokio::time::timeout(self.limit, child.wait_with_output()).await;
        let output = ended
            .map_err(|_| CommandError::TimedOut {
                call: call.clone(),
                seconds: self.limit.as_secs(),
            })?
            .map_err(start)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(CommandError::Failed {
            call,
            status: output.status.to_string(),
            stderr: last_lines(&output.stderr, 12),
        })
    }

    fn call(&self) -> String {
        let arguments =
            self.arguments.iter().map(|argument| argument.to_string_lossy().into_owned());
        std::iter::once(self.program.clone()).chain(arguments).collect::<Vec<_>>().join(" ")
    }
}

/// The last `count` lines of some output.
pub fn last_lines(bytes: &[u8], count: usize) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.trim_end().lines().collect::<Vec<_>>();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// Where `program` is, if `PATH` or the system directories have it.
pub fn find(program: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin"].map(std::path::PathBuf::from);
    std::env::split_paths(&path)
        .chain(system)
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
}
