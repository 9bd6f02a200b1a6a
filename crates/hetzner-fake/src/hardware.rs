//! The hardware of one server at a time, as files, for a rescue system that runs beside the fake: `authorized_keys` that
//! it lets in, the `disk` that it writes, `poweroff` that it makes to go off, and `snapshots/ID`.

use std::path::PathBuf;
use std::process::Command;

/// A directory with these files.
#[derive(Debug, Clone)]
pub(crate) struct Hardware(PathBuf);

impl Hardware {
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self(dir)
    }

    /// A rescue system boots, and lets these keys in.
    pub(crate) fn boot_rescue(&self, keys: &[String]) {
        let _ = std::fs::remove_file(self.0.join("poweroff"));
        self.write("authorized_keys", &keys.join("\n"));
    }

    /// Whether the system has gone off by itself since it was asked last.
    pub(crate) fn went_off(&self) -> bool {
        let went = std::fs::remove_file(self.0.join("poweroff")).is_ok();
        if went {
            self.write("authorized_keys", "");
        }
        went
    }

    /// Keeps what is on the disk.
    pub(crate) fn snapshot(&self, id: u64) {
        let to = self.0.join("snapshots");
        let _ = std::fs::create_dir_all(&to);
        let copy = Command::new("cp")
            .arg("--sparse=always")
            .arg(self.0.join("disk"))
            .arg(to.join(id.to_string()))
            .status();
        assert!(copy.is_ok_and(|status| status.success()), "the disk cannot be copied");
    }

    fn write(&self, name: &str, text: &str) {
        let written = std::fs::write(self.0.join(name), format!("{text}\n"));
        written.expect("the directory can be written");
    }
}
