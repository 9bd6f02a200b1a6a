//! How a run that did not succeed is reported: `error:`, `because:`, `hint:`, each once.

use std::error::Error;
use std::process::ExitCode;

use pgha_deploy::archive::ArchiveError;
use pgha_deploy::exclusion::ExclusionError;
use pgha_deploy::execute::ExecuteError;
use pgha_deploy::image::ImageError;
use pgha_deploy::image::given::GivenError;
use pgha_deploy::lease;
use pgha_deploy::operate::OperateError;
use pgha_deploy::secrets::SecretsError;
use pgha_platform::ProviderError;

use crate::{cure, print};

/// A run that did not succeed.
pub(crate) struct Failure {
    code: u8,
    error: String,
    because: Vec<String>,
    hint: Option<String>,
}

impl Failure {
    /// The answer is no: invalid, refused, verdict failed.
    pub(crate) fn no(error: impl Into<String>) -> Self {
        Self { code: 1, error: error.into(), because: Vec::new(), hint: None }
    }

    /// The work could not be finished.
    pub(crate) fn broken(error: &(dyn Error + 'static)) -> Self {
        let causes = || {
            std::iter::successors(error.source(), |cause: &&(dyn Error + 'static)| {
                (*cause).source()
            })
        };
        let system = std::iter::once(error)
            .chain(causes())
            .filter_map(|cause| cause.downcast_ref::<std::io::Error>());
        let hint = system.filter_map(|error| of_system(error.kind())).next().map(str::to_owned);
        Self {
            code: 2,
            error: error.to_string(),
            because: causes().map(ToString::to_string).collect(),
            hint,
        }
    }

    /// Adds what to do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Changes the exit code.
    pub(crate) fn exit_with(self, code: u8) -> Self {
        Self { code, ..self }
    }

    /// Prints it and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        if !self.error.is_empty() {
            print::marked(&print::red("error:"), &self.error);
        }
        for cause in &self.because {
            print::note(&format!("because: {cause}"));
        }
        if let Some(hint) = &self.hint {
            print::note(&format!("hint: {hint}"));
        }
        ExitCode::from(self.code)
    }
}

/// What helps against an error of the operating system, wherever it occurred.
fn of_system(kind: std::io::ErrorKind) -> Option<&'static str> {
    match kind {
        std::io::ErrorKind::PermissionDenied => {
            Some("run pgha as a user who may do that, or name another place")
        }
        std::io::ErrorKind::ReadOnlyFilesystem => Some("name a place that can be written to"),
        std::io::ErrorKind::StorageFull => {
            Some("make room on that disk, then run the same command again")
        }
        _ => None,
    }
}

macro_rules! broken {
    ($($error:ty),+ $(,)?) => { $(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self { Self::broken(&error) }
        }
    )+ };
}

broken!(
    pgha_core::render::RenderError,
    pgha_deploy::node_error::NodeError,
    pgha_platform::CommandError,
    pgha_platform::files::FileError,
    pgha_platform::ssh::SshError,
    std::io::Error,
);

impl From<ImageError> for Failure {
    fn from(error: ImageError) -> Self {
        match error {
            ImageError::OverBudget { .. } => {
                Self::no(error.to_string()).hint("allow more with `size_budget_mb` in section [image], or leave out what is not needed")
            }
            _ => Self::broken(&error),
        }
    }
}

impl From<GivenError> for Failure {
    fn from(error: GivenError) -> Self {
        let cure = match error {
            GivenError::Disks { .. } => "leave --manifest out: the images are built then",
            _ => "`pgha build` makes the images of this cluster file",
        };
        Self::broken(&error).hint(cure).exit_with(1)
    }
}

impl From<ProviderError> for Failure {
    fn from(error: ProviderError) -> Self {
        let cure = match error {
            ProviderError::Busy(_) => {
                Some("wait until it is done, or end that process; nothing was changed")
            }
            ProviderError::ImageChanged { .. } => Some(
                "`pgha build` makes the cluster file's image anew; an older one must come from where it was",
            ),
            ProviderError::NotRoot => Some("run pgha with sudo"),
            ProviderError::Elsewhere { .. } => Some(
                "nothing was changed: give this cluster another name, or set provider.local.state_dir to where its nodes are",
            ),
            ProviderError::Unrecorded(_) => {
                Some("set provider.local.state_dir back to where its records are")
            }
            ProviderError::Orphaned { .. } => Some(
                "if it is wanted, put record.json back beside it; else move the directory away, then run the same command again",
            ),
            ProviderError::Record { .. } => Some(
                "put it back, or write it like those of the other nodes: the address, the name of the seed and the label `seed` are its own",
            ),
            _ => None,
        };
        let failure = Self::broken(&error);
        match cure {
            Some(cure) => failure.hint(cure),
            None => failure,
        }
    }
}

fn no_way_back(why: &ArchiveError) -> &'static str {
    match why {
        ArchiveError::Altered(_) | ArchiveError::Damaged { .. } | ArchiveError::File(_) => {
            "put the image back where it was; `pgha apply --no-way-back` changes nodes without one"
        }
        ArchiveError::DamagedSeed { .. } => {
            "remove that file: the next `pgha apply` keeps it anew if it is what the node has now"
        }
        ArchiveError::Missing { .. } => {
            "seeds of before a rotation are gone for good; else an older pgha booted this node, or the secrets came without their directory `archive`: `pgha apply --no-way-back` gives nodes what the cluster file says all the same"
        }
        ArchiveError::Nothing | ArchiveError::Ended => {
            "`pgha apply --no-way-back` gives nodes what the cluster file says all the same"
        }
    }
}

impl From<ExecuteError> for Failure {
    fn from(error: ExecuteError) -> Self {
        match error {
            ExecuteError::Returned { .. } => {
                Self::no(error.to_string()).hint("correct the cluster file or the image, then `pgha apply` again")
            }
            ExecuteError::SetBack { .. } | ExecuteError::Unfit(_) | ExecuteError::NotInForce(_) => Self::no(error.to_string()).hint("correct the cluster file, then `pgha apply` again"),
            ExecuteError::Provider(error) => error.into(),
            ExecuteError::NoWayBack { ref source, .. } => {
                let cure = no_way_back(source);
                Self::broken(&error).hint(cure).exit_with(1)
            }
            ExecuteError::Archive(_) => Self::broken(&error)
                .hint("put it back where it was, or change the cluster file, then `pgha apply`"),
            ExecuteError::NoReturn { .. } => Self::broken(&error).hint(
                "correct the cluster file or the image, then `pgha apply --no-way-back`",
            ),
            ExecuteError::Kept { .. } => {
                Self::broken(&error).hint("see `pgha status`; `pgha rollback` takes the last roll back once the other nodes are well")
            }
            _ => Self::broken(&error).hint("what was done stays; see `pgha status`, then run the same command again to go on"),
        }
    }
}

impl From<OperateError> for Failure {
    fn from(error: OperateError) -> Self {
        match error {
            OperateError::Provider(error) => error.into(),
            OperateError::Refused(refused) => refused.into(),
            OperateError::Secrets(error) => error.into(),
            OperateError::Execute(error) => error.into(),
            OperateError::Exclusion(error) => error.into(),
            OperateError::Declined => Self::no(error.to_string()).hint("answer y, or give --yes"),
            OperateError::Changed => {
                Self::no(error.to_string()).hint("run the command again to plan anew")
            }
        }
    }
}

impl From<ExclusionError> for Failure {
    fn from(error: ExclusionError) -> Self {
        let failure = Self::no(error.to_string());
        match error {
            ExclusionError::Provider(error) => error.into(),
            // The same exit code as when the provider's lock is taken.
            ExclusionError::Held(_) => failure
                .hint(format!(
                    "wait until it is done; if that machine is gone, its lease ends within {} s",
                    lease::TTL.as_secs()
                ))
                .exit_with(2),
            ExclusionError::NoLease(why) => failure
                .hint(format!(
                    "nothing was done ({why}); see `pgha status`, then run the command again"
                ))
                .exit_with(2),
            ExclusionError::LeaseExpired => failure.hint("another may have worked on the cluster since: see `pgha plan`, then run the same command again"),
        }
    }
}

impl From<SecretsError> for Failure {
    fn from(error: SecretsError) -> Self {
        let cure = error.cure();
        let failure = Self::broken(&error);
        match cure {
            Some(cure) => Self { code: 1, ..failure.hint(cure) },
            None => failure,
        }
    }
}

impl From<pgha_core::plan::Refused> for Failure {
    fn from(refused: pgha_core::plan::Refused) -> Self {
        Self::no(format!("no plan: {refused}")).hint(cure::of(&refused))
    }
}
