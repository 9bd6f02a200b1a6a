//! Actions: what takes time. Its effect comes with its end.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::answer::Refusal;
use crate::project::{Project, now};

/// A resource that an action is about: its kind, as the API calls it, and its id.
pub(crate) type Subject = (&'static str, u64);

/// Something that was begun.
#[derive(Debug)]
pub(crate) struct Action {
    pub(crate) id: u64,
    command: String,
    subjects: Vec<Subject>,
    started: String,
    /// When it ends.
    due: Instant,
    finished: Option<String>,
    /// Why it failed.
    failure: Option<String>,
}

impl Action {
    pub(crate) fn is_running(&self) -> bool {
        self.finished.is_none()
    }

    /// Whether it comes to nothing.
    pub(crate) fn fails(&self) -> bool {
        self.failure.is_some()
    }

    pub(crate) fn concerns(&self, subject: Subject) -> bool {
        self.subjects.contains(&subject)
    }

    pub(crate) fn status(&self) -> &'static str {
        match (&self.finished, &self.failure) {
            (None, _) => "running",
            (Some(_), None) => "success",
            (Some(_), Some(_)) => "error",
        }
    }

    pub(crate) fn show(&self) -> Value {
        let resources = self.subjects.iter().map(|(kind, id)| json!({ "id": id, "type": kind }));
        let failure = self.failure.as_ref().filter(|_| !self.is_running());
        json!({
            "id": self.id,
            "command": self.command,
            "status": self.status(),
            "progress": if self.is_running() { 0 } else { 100 },
            "started": self.started,
            "finished": self.finished,
            "resources": resources.collect::<Vec<_>>(),
            "error": failure.map(|message| json!({ "code": "action_failed", "message": message })),
        })
    }
}

/// What an action changes when it succeeds.
pub(crate) type Effect = Box<dyn FnOnce(&mut Project) + Send>;

/// The actions of a project.
#[derive(Default)]
pub(crate) struct Actions {
    pub(crate) all: Vec<Action>,
    effects: Vec<(u64, Effect)>,
    /// Why the next one fails.
    pub(crate) fails_next: Option<String>,
}

impl Project {
    /// Begins an action on subjects on which no other one runs.
    pub(crate) fn begin(
        &mut self,
        command: &str,
        subjects: &[Subject],
        effect: impl FnOnce(&mut Self) + Send + 'static,
    ) -> Result<Value, Refusal> {
        self.not_locked(subjects)?;
        Ok(self.begin_next(command, subjects, effect))
    }

    /// Refuses what may not be done while an action runs on one of the subjects.
    pub(crate) fn not_locked(&self, subjects: &[Subject]) -> Result<(), Refusal> {
        if self.running_on(subjects).next().is_some() { Err(Refusal::locked()) } else { Ok(()) }
    }

    fn running_on(&self, subjects: &[Subject]) -> impl Iterator<Item = &Action> {
        let running = self.actions.all.iter().filter(|action| action.is_running());
        running.filter(|action| subjects.iter().any(|subject| action.concerns(*subject)))
    }

    /// The same, after those that run already.
    pub(crate) fn begin_next(
        &mut self,
        command: &str,
        subjects: &[Subject],
        effect: impl FnOnce(&mut Self) + Send + 'static,
    ) -> Value {
        let before = self.running_on(subjects).map(|action| action.due).max();
        let begin = before.unwrap_or_else(Instant::now);
        let failure = self.actions.fails_next.take();
        let action = Action {
            id: self.next_id(),
            command: command.to_owned(),
            subjects: subjects.to_vec(),
            started: now(),
            due: begin + self.pace,
            finished: None,
            failure,
        };
        let shown = action.show();
        if action.failure.is_none() {
            self.actions.effects.push((action.id, Box::new(effect)));
        }
        self.actions.all.push(action);
        shown
    }

    /// Ends what is due.
    pub(crate) fn settle(&mut self) {
        self.look_at_hardware();
        let at = Instant::now();
        let due = |action: &&mut Action| action.is_running() && action.due <= at;
        let mut ended = Vec::new();
        for action in self.actions.all.iter_mut().filter(due) {
            action.finished = Some(now());
            ended.push(action.id);
        }
        for id in ended {
            let effects = &mut self.actions.effects;
            if let Some(at) = effects.iter().position(|(action, _)| *action == id) {
                let (_, effect) = effects.remove(at);
                effect(self);
            }
        }
    }

    /// How long an action takes.
    pub(crate) fn set_pace(&mut self, pace: Duration) {
        self.pace = pace;
    }
}
