//! Waits for actions.

use std::time::Duration;

use reqwest::Method;
use serde::Deserialize;

use crate::api::{Api, Call};
use crate::error::ApiError;
use crate::model::{Action, Progress};

/// Actions that one request asks for.
const AT_ONCE: usize = 25;

/// Looks are this much rarer in the end than in the beginning.
const SLOWEST: u32 = 3;

/// An answer that speaks of actions: of one, of some, or of none.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Actions {
    action: Option<Action>,
    #[serde(default)]
    next_actions: Vec<Action>,
    #[serde(default)]
    actions: Vec<Action>,
}

impl Actions {
    pub(crate) fn all(self) -> Vec<Action> {
        self.action.into_iter().chain(self.next_actions).chain(self.actions).collect()
    }
}

impl Api {
    /// `DELETE`. The answer may be empty.
    pub(crate) async fn remove(&self, path: &str) -> Result<Vec<Action>, ApiError> {
        let call = Call { method: Method::DELETE, path, query: &[], body: None };
        Ok(self.send::<Option<Actions>>(&call).await?.unwrap_or_default().all())
    }

    /// Waits until every one of these actions has succeeded.
    ///
    /// # Errors
    /// When one fails, is not known any more, or has not ended after `patience`.
    pub async fn ended(&self, actions: &[Action], patience: Duration) -> Result<(), ApiError> {
        let wait = tokio::time::timeout(patience, self.until_ended(actions));
        wait.await.unwrap_or_else(|_| {
            let command = actions.iter().map(|action| action.command.as_str()).collect::<Vec<_>>();
            Err(ApiError::Late { command: command.join(", "), seconds: patience.as_secs() })
        })
    }

    async fn until_ended(&self, actions: &[Action]) -> Result<(), ApiError> {
        let mut pause = self.pause;
        let mut running = still_running(actions.to_vec())?;
        while !running.is_empty() {
            tokio::time::sleep(pause).await;
            pause = (pause + self.pause / 2).min(self.pause * SLOWEST);
            running = still_running(self.look(&running).await?)?;
        }
        Ok(())
    }

    async fn look(&self, actions: &[Action]) -> Result<Vec<Action>, ApiError> {
        let mut seen = Vec::new();
        for some in actions.chunks(AT_ONCE) {
            let ids = some.iter().map(|action| action.id.to_string()).collect::<Vec<_>>();
            let query = ids.iter().map(|id| ("id", id.as_str())).collect::<Vec<_>>();
            seen.extend(self.list::<Action>("actions", &query).await?);
        }
        match actions.len() - seen.len().min(actions.len()) {
            0 => Ok(seen),
            gone => Err(ApiError::ActionsGone(gone)),
        }
    }
}

/// Those that have not ended.
fn still_running(actions: Vec<Action>) -> Result<Vec<Action>, ApiError> {
    if let Some(failed) = actions.iter().find(|action| action.status == Progress::Error) {
        return Err(ApiError::ActionFailed {
            id: failed.id,
            command: failed.command.clone(),
            message: failed.error.clone().unwrap_or_default().message,
        });
    }
    Ok(actions.into_iter().filter(|action| action.status == Progress::Running).collect())
}
