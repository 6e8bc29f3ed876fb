//! Failures: what failed, on which object, and what to do. The table below is the only list of reasons, exit codes and
//! hints. The README's table is made from it.

use crate::model::bounded;
use std::fmt;

macro_rules! reasons {
    ($($variant:ident $code:literal $exit:literal $meaning:literal, $hint:literal;)*) => {
        /// Reason of a failure: a stable kebab-case code for scripts, an exit code and a hint.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Reason { $(#[doc = $meaning] $variant,)* }

        impl Reason {
            /// Every reason, in the order of the README's table.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Returns the stable code, as `--json` prints it.
            #[must_use]
            pub const fn code(self) -> &'static str { match self { $(Self::$variant => $code,)* } }

            /// Returns the exit code of a run that failed for this reason alone.
            #[must_use]
            pub const fn exit(self) -> u8 { match self { $(Self::$variant => $exit,)* } }

            /// Returns one sentence for the README's table.
            #[must_use]
            pub const fn meaning(self) -> &'static str { match self { $(Self::$variant => $meaning,)* } }

            /// Returns the general hint, for failures that have no more specific one.
            #[must_use]
            pub const fn hint(self) -> &'static str { match self { $(Self::$variant => $hint,)* } }
        }
    };
}

reasons! {
    Usage "usage" 64 "The command line is wrong", "Run deployer --help";
    ManifestMissing "manifest-missing" 64 "There is no manifest at that path", "Run deployer init to write one, or name it with -f";
    ManifestInvalid "manifest-invalid" 64 "The manifest is not valid", "Fix the line shown; deployer schema lists the accepted keys; deployer schema prints what is accepted";
    ManifestUneditable "manifest-uneditable" 64 "The manifest cannot be edited without losing something", "Paste the printed entry under environments: by hand";
    UnknownEnvironment "unknown-environment" 64 "No environment of that name", "deployer list shows the names";
    ApplicationInvalid "application-invalid" 64 "The application's files cannot be released as they are", "Mend the file shown";
    TemplateInvalid "template-invalid" 64 "A template does not render", "Every name a template uses must be a variable of the manifest";
    ArchiveInvalid "archive-invalid" 64 "An image archive is not what the manifest says it is", "Make it with: docker save IMAGE -o FILE";
    PlanInvalid "plan-invalid" 64 "A saved plan cannot be read", "Make it anew: deployer plan --out FILE";
    PlanStale "plan-stale" 5 "What a saved plan rests on moved since it was made", "Make a new plan and look at it; nothing was changed";
    RefUnknown "ref-unknown" 64 "What the plan is to be compared with is not in the Git repository", "Fetch it first (in a workflow: fetch-depth: 0)";
    SecretUnresolved "secret-unresolved" 1 "A secret's source gives no value", "Set the environment variable, or mend the file or command it is read from";
    StoreUnusable "store-unusable" 1 "The state store cannot be opened, read or written", "Check the path and its permissions; the host keeps its own record, so a lost store can be removed";
    StoreNewer "store-newer" 1 "The state store was written by a newer deployer", "Use that newer version";
    ToolMissing "tool-missing" 1 "A program that deployer starts is not installed", "Install it (openssh-client for ssh)";
    NoMachine "no-machine" 7 "The machine of the environment was not made yet", "deployer apply ENV makes it";
    ProvisionFailed "provision-failed" 1 "OpenTofu could not make the infrastructure as asked", "Look at the output shown; the next apply continues";
    ProvisionTimeout "provision-timeout" 1 "OpenTofu did not end in time", "Look at the provider's console; the next apply continues";
    StateLocked "state-locked" 4 "Another run has the lock on the infrastructure's state", "Wait for it; the lock of a run that died on this machine is taken over, and deployer unlock ENV frees another's";
    StateSealed "state-sealed" 1 "The infrastructure's state cannot be decrypted", "Give the passphrase it was written with (state_passphrase), or the file state.key beside the store";
    StateUnusable "state-unusable" 1 "The infrastructure's state cannot be read or does not belong here", "Look at the file named; nothing was changed";
    InfrastructureExists "infrastructure-exists" 6 "An environment whose infrastructure still exists is not forgotten", "Run deployer destroy ENV first";
    CloudInitFailed "cloud-init-failed" 1 "The first boot of a new machine failed", "Look at the output shown; once it is mended there, the next apply goes on";
    StateFleeting "state-fleeting" 6 "What is known of a machine would not outlast this run", "Keep the store where the next run finds it and pass --allow-local-state, or set provisioned.backend";
    NameResolution "name-resolution" 7 "The host's name does not resolve", "Check the address in the manifest and the resolver of this machine";
    ConnectionRefused "connection-refused" 7 "The host refuses connections on the SSH port", "Check that sshd runs there and ssh.port is right";
    ConnectionTimeout "connection-timeout" 7 "The host does not answer", "Check the address, the network and the firewalls between";
    ConnectionLost "connection-lost" 7 "The connection broke while a command ran", "Run the same command again: it continues where the host is";
    HostKeyUnknown "host-key-unknown" 7 "The host's key is not known yet", "Pin it with ssh.host_key, or pass --accept-new-host-keys once";
    HostKeyChanged "host-key-changed" 7 "The host answers with another key than the known one", "If the host was replaced on purpose, remove the old key; else someone may be in between";
    AuthenticationRejected "authentication-rejected" 7 "The host rejects the key or the user", "Check ssh.user and ssh.identity_file, and that the public key is in authorized_keys";
    KeyUnusable "key-unusable" 7 "The private key cannot be used", "Check that the file exists, is a private key and only you can read it";
    KeyPassphrase "key-passphrase" 7 "The private key has a passphrase and no agent holds it", "Run ssh-add FILE first";
    SudoMissing "sudo-missing" 1 "The user is not root and the host has no usable sudo", "Install sudo and allow the user, or connect as root";
    SudoPassword "sudo-password" 1 "sudo asks for a password", "Set ssh.sudo_password, or allow the user without one";
    UnsupportedHost "unsupported-host" 1 "deployer cannot set up this operating system", "Install Docker and Compose v2 there yourself, or use Debian 12 or 13, Ubuntu 22.04, 24.04 or 26.04";
    NoSystemd "no-systemd" 1 "The host does not run systemd, which this needs", "Start the Docker engine there by other means";
    EngineMissing "engine-missing" 1 "The host has no good enough Docker engine and configure.engine.install is false", "Install it there, or allow deployer to";
    EngineFailed "engine-failed" 1 "The Docker engine could not be installed or started", "Look at the output shown; the next apply continues";
    FirewallFailed "firewall-failed" 1 "The host's firewall could not be changed", "Look at the output shown; the next apply continues";
    UpdatesFailed "updates-failed" 1 "Security updates could not be turned on as asked", "Look at the output shown; the next apply continues";
    ScriptFailed "script-failed" 1 "A script of configure.scripts failed, or what undoes it", "Look at the output shown and mend the script; the next apply runs it again";
    ScheduleInvalid "schedule-invalid" 1 "A schedule's time is none that systemd understands", "Try it with: systemd-analyze calendar TIME; nothing was changed";
    DiskFull "disk-full" 1 "A disk of the host or of this machine has too little free space", "Free some space there";
    ReadOnly "read-only" 1 "A file system of the host or of this machine can only be read", "Make it writable again, as in: mount -o remount,rw";
    IoError "io-error" 1 "A disk of the host or of this machine fails, or its file system is damaged", "Look for its errors with dmesg there";
    PortTaken "port-taken" 1 "A port the application publishes is used by something else on the host", "Stop what uses it, or publish another port";
    ArchitectureMismatch "architecture-mismatch" 1 "An image is made for another processor than the host's", "Build the image for the host's architecture";
    ComposeInvalid "compose-invalid" 1 "Docker Compose rejects the application's files", "Mend the Compose file; nothing was stopped";
    UploadFailed "upload-failed" 1 "Files could not be written on the host", "Look at the output shown; nothing was stopped";
    ImageUnavailable "image-unavailable" 1 "An image could not be loaded or pulled", "Check the name, the registry and the host's network; nothing was stopped";
    ImageNotCompared "image-not-compared" 1 "An image could not be compared with its registry, which pull: always asks for", "Look at the output shown; what runs was left alone";
    BuildFailed "build-failed" 1 "An image could not be built on the host", "Look at the output shown; nothing was stopped";
    BeforeFailed "before-failed" 1 "A service of application.compose.before did not end well", "Look at the output shown; nothing was stopped, and the next apply runs it again";
    ServicesFailed "services-failed" 1 "Docker Compose could not start the services", "Look at the output shown, or at deployer logs ENV";
    BackupFailed "backup-failed" 1 "A backup could not be made or is not whole", "Look at the output shown; earlier archives are kept";
    AfterFailed "after-failed" 1 "What runs after a backup failed; its archive is kept on the host", "Look at the output shown and mend backup.after, then run deployer backup ENV";
    BackupInvalid "backup-invalid" 6 "An archive is damaged, or of something else, and is not restored", "deployer restore ENV lists those of the host; nothing was touched";
    BackupUnknown "backup-unknown" 64 "There is no such archive, or nothing to make one with", "deployer restore ENV lists those of the host";
    RestoreUnfinished "restore-unfinished" 1 "Restoring an archive began and did not end", "Run the same deployer restore again: it starts over, and the previous data is kept until it ends";
    Unhealthy "unhealthy" 1 "The services did not become healthy in time", "Look at deployer logs ENV; health.timeout sets the limit";
    CheckFailed "check-failed" 1 "A check of the manifest does not pass", "Look at deployer logs ENV";
    RolledBack "rolled-back" 1 "The change did not hold and what was there before came back", "Look at the output shown; a release is not tried again until its inputs change or --retry is given";
    ReleaseRejected "release-rejected" 1 "The release was rolled back before and its inputs did not change since", "Change the application or its variables, or pass --retry";
    ReleaseUnknown "release-unknown" 1 "The host has no such release to go back to", "deployer history ENV lists them";
    NotConverged "not-converged" 1 "The host still differs after the step", "Run deployer plan ENV to see what differs";
    ProbeUnreadable "probe-unreadable" 1 "The host's answer could not be read", "Run with --verbose and report it";
    OutputTooLarge "output-too-large" 1 "A host, a service or a program sent more than its answer may hold", "Look at what answers there; nothing of it was kept";
    CommandFailed "command-failed" 1 "A command on the host failed", "Look at the output shown";
    LeaseHeld "lease-held" 4 "Another run works on the environment", "Wait for it, or longer with --wait; a run that died lets go within a minute";
    LeaseLost "lease-lost" 4 "This run stood still for so long that its lease on the environment expired", "Run the same command again: it continues where the host is";
    MarkerMismatch "marker-mismatch" 6 "The directory or the Compose project on the host belongs to another environment, or to somebody else", "Choose another host_directory or project, or pass --take-over if it is really yours";
    ConsentMissing "consent-missing" 6 "Destroying or restoring needs consent by name", "Type the name at the prompt, or pass --allow-destroy ENV or --allow-restore ENV";
    Protected "protected" 6 "The environment is protected from being destroyed", "Lift it by an apply of a manifest that holds the environment with protect: false";
    Suspended "suspended" 6 "The environment is suspended", "Run deployer resume ENV, or name it: deployer apply ENV";
    ManifestEmptied "manifest-emptied" 6 "The manifest has no environments, though some are recorded", "If that is meant, destroy them by name first; nothing was changed";
    DependencyFailed "dependency-failed" 1 "An environment this one depends on is not healthy", "Mend that one first";
    GitPull "git-pull" 1 "The Git checkout cannot follow its upstream", "Look at the output shown; what is checked out is kept";
    ListenFailed "listen-failed" 1 "The address for metrics and health cannot be listened on", "Name another with --listen, or off";
    Interrupted "interrupted" 130 "The run was interrupted by a signal", "Run the same command again: it continues where the host is";
}

/// Returns the reasons as a Markdown table for the README.
#[must_use]
pub fn table() -> String {
    let rows = Reason::ALL.iter().map(|reason| {
        format!("| `{}` | {} | {} | {} |\n", reason.code(), reason.exit(), reason.meaning(), reason.hint())
    });
    std::iter::once("| Reason | Exit code | Meaning | What to do |\n|---|---|---|---|\n".to_owned())
        .chain(rows)
        .collect()
}

/// Place in a file, 1-based, with the bytes that a snippet underlines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The file as the user named it (`-` for standard input).
    pub file: String,
    /// Line, counted from 1.
    pub line: usize,
    /// Column in characters, counted from 1.
    pub column: usize,
    /// Byte range in the file's text, if it is known.
    pub span: Option<std::ops::Range<usize>>,
    /// The file's text, for a snippet. `None` if the text holds a secret.
    pub source: Option<std::sync::Arc<str>>,
}

/// Limit of a message in bytes: the text of hosts and programs has no limit.
const MESSAGE: usize = 8 << 10;
/// Limit of the output that explains a failure, in bytes.
const DETAILS: usize = 64 << 10;

/// Failure, ready to be reported. Its message holds no secret.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The reason.
    pub reason: Reason,
    /// The environment, if there is one.
    pub environment: Option<String>,
    /// The message: what failed, and on which object, in sentence case without a final period.
    pub message: String,
    /// The hint; if `None`, the reason's own hint applies.
    pub hint: Option<String>,
    /// The location in a file, if there is one.
    pub location: Option<Location>,
    /// Output that explains the failure (a container's last lines, a compiler's message).
    pub details: Option<String>,
}

impl Failure {
    /// Returns a failure for `reason`. The message says what failed, and on which object.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        let message = bounded::shortened(message.into(), MESSAGE);
        Self { reason, environment: None, message, hint: None, location: None, details: None }
    }

    /// Sets the environment of the failure, unless it is already set.
    #[must_use]
    pub fn on(mut self, environment: impl fmt::Display) -> Self {
        self.environment.get_or_insert_with(|| environment.to_string());
        self
    }

    /// Replaces the reason's general hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Sets the location in a file.
    #[must_use]
    pub fn at(mut self, location: Location) -> Self {
        self.location = Some(location);
        self
    }

    /// Adds output that explains the failure. Empty output is ignored. Long output is shortened in the middle.
    #[must_use]
    pub fn details(mut self, details: impl Into<String>) -> Self {
        let details = bounded::shortened(details.into(), DETAILS);
        if !details.trim().is_empty() {
            self.details = Some(details);
        }
        self
    }

    /// Returns the hint to print.
    #[must_use]
    pub fn advice(&self) -> &str {
        self.hint.as_deref().unwrap_or_else(|| self.reason.hint())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}
