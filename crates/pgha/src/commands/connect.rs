//! `psql`, `ssh`, `logs`, and the addresses printed at the end of `up`.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use pgha_core::cluster::{Haproxy, Node, Role};
use pgha_deploy::secrets::{Secrets, host_key, operator_keys};
use pgha_platform::umask;

use crate::cli::PsqlArgs;
use crate::failure::Failure;
use crate::workspace::Workspace;

/// Characters that must be escaped in a value of a connection string. A path stays readable.
const VALUE: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_').remove(b'~');

/// How clients reach a cluster.
pub(super) struct Endpoints {
    user: String,
    database: String,
    hosts: Vec<String>,
    haproxy: Haproxy,
    tcp_user_timeout_ms: u32,
    ca: String,
    password_file: String,
    stats_password_file: String,
    file: String,
}

impl Endpoints {
    pub(super) fn of(workspace: &Workspace, secrets: &Secrets) -> Self {
        let cluster = &workspace.cluster;
        let user = cluster.postgresql.users.first().cloned().unwrap_or_default();
        Self {
            database: cluster
                .postgresql
                .databases
                .first()
                .map_or_else(|| "postgres".to_owned(), |database| database.name.clone()),
            hosts: cluster.nodes_with(Role::Haproxy).map(|node| node.address.to_string()).collect(),
            haproxy: cluster.haproxy.clone(),
            tcp_user_timeout_ms: cluster.timing.tcp_user_timeout * 1000,
            ca: secrets.path("ca.crt").display().to_string(),
            password_file: secrets.path(&format!("passwords/{user}")).display().to_string(),
            stats_password_file: secrets.path("passwords/haproxy-stats").display().to_string(),
            file: quoted(&workspace.file.display().to_string()),
            user,
        }
    }

    /// A connection string with every host, so that a client survives the loss of any of them.
    fn dsn(&self, direct: bool, replica: bool) -> String {
        let port = match (direct, replica) {
            (false, false) => self.haproxy.primary_port,
            (false, true) => self.haproxy.replica_port,
            (true, false) => self.haproxy.direct_port,
            (true, true) => self.haproxy.direct_replica_port,
        };
        let target = if replica { "any" } else { "read-write" };
        let hosts =
            self.hosts.iter().map(|host| format!("{host}:{port}")).collect::<Vec<_>>().join(",");
        format!(
            "postgresql://{}@{hosts}/{}?target_session_attrs={target}&sslmode=verify-full&sslrootcert={}&connect_timeout=3&tcp_user_timeout={}",
            self.user,
            self.database,
            utf8_percent_encode(&self.ca, VALUE),
            self.tcp_user_timeout_ms
        )
    }

    pub(super) fn text(&self) -> String {
        let host = self.hosts.first().map_or("", String::as_str);
        format!(
            "read-write  {}\nread-only   {}\ndirect      {}\npassword    {}\nstatistics  https://{host}:{}/ (user pgha, password in {})\nnext        pgha -f {file} status | psql | verify | destroy\n",
            self.dsn(false, false),
            self.dsn(false, true),
            self.dsn(true, false),
            self.password_file,
            self.haproxy.stats_port,
            self.stats_password_file,
            file = self.file,
        )
    }
}

pub(super) async fn psql(
    workspace: &Workspace,
    PsqlArgs { user, database, replica, direct, arguments }: &PsqlArgs,
) -> Result<ExitCode, Failure> {
    let (secrets, _) = workspace.fleet().await?;
    let mut endpoints = Endpoints::of(workspace, &secrets);
    if let Some(user) = user {
        workspace.has_user(user)?;
        endpoints.user = user.clone();
    }
    if let Some(database) = database {
        endpoints.database = database.clone();
    }
    let file = format!("passwords/{}", endpoints.user);
    if secrets.is_new(&file) {
        return Err(Failure::no(format!("there is no user `{}` yet", endpoints.user))
            .hint("`pgha apply` makes it and its password"));
    }
    let password = secrets.file(&file).expose().to_owned();
    // In the environment, not in the arguments: other users can read those.
    replace(
        Command::new("psql")
            .arg(endpoints.dsn(*direct, *replica))
            .args(arguments)
            .env("PGPASSWORD", password),
        "postgresql-client",
    )
}

pub(super) async fn ssh(
    workspace: &Workspace,
    node: &str,
    arguments: &[String],
) -> Result<ExitCode, Failure> {
    let node = workspace.node(node)?;
    let line = shlex::try_join(arguments.iter().map(String::as_str))
        .map_err(|error| Failure::no(error.to_string()))?;
    let mut command = ssh_command(workspace, node).await?;
    if !line.is_empty() {
        command.arg(line);
    }
    replace(&mut command, "openssh-client")
}

pub(super) async fn logs(
    workspace: &Workspace,
    node: &str,
    unit: Option<&str>,
    follow: bool,
    lines: u32,
) -> Result<ExitCode, Failure> {
    let mut arguments =
        vec!["journalctl".to_owned(), "--no-pager".to_owned(), format!("--lines={lines}")];
    arguments.extend(unit.map(|unit| format!("--unit={unit}")));
    arguments.extend(follow.then(|| "--follow".to_owned()));
    ssh(workspace, node, &arguments).await
}

/// OpenSSH with the operator's key and the node's pinned host key.
async fn ssh_command(workspace: &Workspace, node: &Node) -> Result<Command, Failure> {
    let (secrets, fleet) = workspace.fleet().await?;
    if secrets.is_new(&host_key(&node.name)) {
        return Err(
            Failure::no(format!("there is no server `{}` yet", node.name)).hint("see `pgha plan`")
        );
    }
    let mut command = Command::new("ssh");
    for key in operator_keys().map(|name| secrets.path(&name)).iter().filter(|path| path.exists()) {
        command.arg("-i").arg(without_tokens(key));
    }
    // Not a file: a command that only looks never writes. A line for each key, three words that are
    // not secret; `%%` because ssh replaces `%s`.
    let keys = fleet.target(node).host_keys;
    let known = keys.iter().map(|key| format!(" {} {key}", node.address)).collect::<String>();
    let print = r"/usr/bin/env printf %%s\ %%s\ %%s\n";
    command.arg("-o").arg(format!("KnownHostsCommand={print}{known}"));
    command.args(SSH_OPTIONS.iter().flat_map(|option| ["-o", option]));
    command.arg(format!("root@{}", node.address));
    Ok(command)
}

/// No other file may confirm a node's host key.
const SSH_OPTIONS: &[&str] = &[
    "UserKnownHostsFile=none",
    "GlobalKnownHostsFile=none",
    "StrictHostKeyChecking=yes",
    "IdentitiesOnly=yes",
    "ConnectTimeout=5",
    "LogLevel=ERROR",
];

/// A path in which ssh replaces nothing: `%` begins a token of ssh_config(5).
fn without_tokens(path: &Path) -> String {
    path.display().to_string().replace('%', "%%")
}

/// Quoted for a shell.
fn quoted(text: &str) -> String {
    shlex::try_quote(text).map_or_else(|_| text.to_owned(), Into::into)
}

/// Replaces this process by another program, so that terminal, signals, exit code and the modes of
/// its files are its own.
fn replace(command: &mut Command, package: &str) -> Result<ExitCode, Failure> {
    umask::give_back();
    let error = command.exec();
    let program = command.get_program().to_string_lossy().into_owned();
    let failure = Failure::no(format!("cannot start `{program}`: {error}"));
    Err(if error.kind() == std::io::ErrorKind::NotFound {
        failure.hint(format!("apt-get install {package}"))
    } else {
        failure
    })
}
