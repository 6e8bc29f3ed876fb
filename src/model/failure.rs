//! Failures: what failed, on which object, and what to do. The table below is the only list of reasons, exit codes and
//! hints. The README's table is made from it.

use crate::model::bounded;
use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

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
    Usage "usage" 64 "The command line is not valid", "Run deployer --help";
    ManifestMissing "manifest-missing" 64 "The manifest does not exist at this path", "Run deployer init to write one, or name its path with -f";
    ManifestInvalid "manifest-invalid" 64 "The manifest is not valid", "Fix the line shown; deployer schema lists the accepted keys";
    ManifestUneditable "manifest-uneditable" 64 "The manifest cannot be edited without losing something", "Paste the printed entry below environments: by hand";
    UnknownEnvironment "unknown-environment" 64 "The manifest has no environment with this name", "Run deployer list to see the names";
    ApplicationInvalid "application-invalid" 64 "The application's files cannot be released as they are", "Fix the file shown";
    TemplateInvalid "template-invalid" 64 "A template does not render", "Define every name that the template uses as a variable in the manifest";
    ArchiveInvalid "archive-invalid" 64 "An image archive does not match the manifest", "Make it with: docker save IMAGE -o FILE";
    PlanInvalid "plan-invalid" 64 "A saved plan cannot be read", "Make a new one: deployer plan --out FILE";
    PlanStale "plan-stale" 5 "Something that a saved plan depends on has changed since it was made", "Nothing was changed. Make a new plan and review it";
    RefUnknown "ref-unknown" 64 "The Git repository does not contain the reference to compare with", "Fetch it first (in a workflow: fetch-depth: 0)";
    SecretUnresolved "secret-unresolved" 1 "The source of a secret gives no value", "Set the environment variable, or fix the file or command that provides the value";
    StoreUnusable "store-unusable" 1 "The state store cannot be opened, read or written", "Check the path and its permissions; hosts keep their own records, so a lost store can be removed";
    StoreNewer "store-newer" 1 "The state store was written by a newer deployer", "Use that version or a newer one";
    ToolMissing "tool-missing" 1 "A program that deployer needs is not installed", "Install it (openssh-client for ssh)";
    NoMachine "no-machine" 7 "The machine of the environment does not exist yet", "Run deployer apply ENV to make it";
    ProvisionFailed "provision-failed" 1 "OpenTofu could not make the infrastructure", "Read the output shown; the next apply continues";
    ProvisionTimeout "provision-timeout" 1 "OpenTofu did not end in time", "Check the provider's console; the next apply continues";
    StateLocked "state-locked" 4 "Another run holds the lock on the infrastructure's state", "Wait for it. The lock of a run that died on this machine is taken over; to remove another lock: deployer unlock ENV";
    StateSealed "state-sealed" 1 "The infrastructure's state cannot be decrypted", "Give the passphrase with which it was written (state_passphrase), or restore the file state.key next to the store";
    StateUnusable "state-unusable" 1 "The infrastructure's state cannot be read or belongs to other infrastructure", "Nothing was changed. Check the file named";
    InfrastructureExists "infrastructure-exists" 6 "The infrastructure of the environment still exists, so the environment was not forgotten", "Run deployer destroy ENV first";
    CloudInitFailed "cloud-init-failed" 1 "The first boot of a new machine failed", "Read the output shown and fix the cause on the machine; the next apply continues";
    StateFleeting "state-fleeting" 6 "The state of a machine would be lost after this run", "Keep the store where the next run finds it and pass --allow-local-state, or set provisioned.backend";
    NameResolution "name-resolution" 7 "The host's name does not resolve", "Check the address in the manifest and the resolver of this machine";
    ConnectionRefused "connection-refused" 7 "The host refuses connections on the SSH port", "Check that sshd runs on the host and that ssh.port is right";
    ConnectionTimeout "connection-timeout" 7 "The host does not answer", "Check the address, the network and the firewalls between";
    ConnectionLost "connection-lost" 7 "The connection broke while a command ran", "Run the same command again: it continues from the state of the host";
    HostKeyUnknown "host-key-unknown" 7 "The host's key is not known yet", "Pin it with ssh.host_key, or pass --accept-new-host-keys";
    HostKeyChanged "host-key-changed" 7 "The host's key differs from the known key", "If the host was replaced on purpose, remove the old key; otherwise the connection may be intercepted";
    AuthenticationRejected "authentication-rejected" 7 "The host rejects the key or the user", "Check ssh.user and ssh.identity_file, and that the public key is in authorized_keys";
    KeyUnusable "key-unusable" 7 "The private key cannot be used", "Check that the file exists, is a private key and is readable only by you";
    KeyPassphrase "key-passphrase" 7 "The private key has a passphrase, but no agent holds it", "Run ssh-add FILE first";
    SudoMissing "sudo-missing" 1 "The user is not root and the host has no usable sudo", "Install sudo and allow the user to use it, or connect as root";
    SudoPassword "sudo-password" 1 "sudo asks for a password", "Set ssh.sudo_password, or allow the user to use sudo without a password";
    UnsupportedHost "unsupported-host" 1 "deployer cannot set up this operating system", "Install Docker and Compose v2 on the host yourself, or use Debian 12 or 13, Ubuntu 22.04, 24.04 or 26.04";
    NoSystemd "no-systemd" 1 "The host does not run systemd, which this needs", "Start the Docker engine on the host by other means";
    EngineMissing "engine-missing" 1 "The host's Docker engine is missing or too old, and configure.engine.install is false", "Install it on the host, or set configure.engine.install to true";
    EngineFailed "engine-failed" 1 "The Docker engine could not be installed or started", "Read the output shown; the next apply continues";
    FirewallFailed "firewall-failed" 1 "The host's firewall could not be changed", "Read the output shown; the next apply continues";
    UpdatesFailed "updates-failed" 1 "Security updates could not be turned on", "Read the output shown; the next apply continues";
    ScriptFailed "script-failed" 1 "A script of configure.scripts, or its undo, failed", "Read the output shown and fix the script; the next apply runs it again";
    ScheduleInvalid "schedule-invalid" 1 "systemd does not understand a schedule's time", "Nothing was changed. Try the time with: systemd-analyze calendar TIME";
    DiskFull "disk-full" 1 "A disk of the host or of this machine has too little free space", "Free some space on it";
    ReadOnly "read-only" 1 "A file system of the host or of this machine is read-only", "Make it writable again, as in: mount -o remount,rw";
    IoError "io-error" 1 "A disk of the host or of this machine fails, or its file system is damaged", "Look for its errors with dmesg on that machine";
    PortTaken "port-taken" 1 "A port that the application publishes is used by something else on the host", "Stop what uses it, or publish another port";
    NameTaken "name-taken" 1 "A container name or a subnet that the application needs is used by something else on the host", "Nothing was stopped. Choose another name or subnet in the Compose file";
    DataMissing "data-missing" 6 "Data that the live release had is missing on the host", "Nothing was changed. Bring the data back";
    VolumeDiffers "volume-differs" 1 "A volume is not as its Compose file defines it, and Docker cannot change it", "Nothing was stopped. Restore the definition, or give the volume another name";
    ArchitectureMismatch "architecture-mismatch" 1 "An image is built for another architecture than the host's", "Build the image for the host's architecture";
    ComposeInvalid "compose-invalid" 1 "Docker Compose rejects the application's files", "Nothing was stopped. Fix the Compose file";
    UploadFailed "upload-failed" 1 "Files could not be written on the host", "Nothing was stopped. Read the output shown";
    ImageUnavailable "image-unavailable" 1 "An image could not be loaded or pulled", "Nothing was stopped. Check the name, the registry and the host's network";
    ImageNotCompared "image-not-compared" 1 "An image could not be compared with its registry, as pull: always requires", "Running services were not changed. Read the output shown";
    BuildFailed "build-failed" 1 "An image could not be built on the host", "Nothing was stopped. Read the output shown";
    BeforeFailed "before-failed" 1 "A service of application.compose.before failed", "Nothing was stopped. Read the output shown; the next apply runs the service again";
    ServicesFailed "services-failed" 1 "Docker Compose could not start the services", "Read the output shown, or run deployer logs ENV";
    BackupFailed "backup-failed" 1 "A backup could not be made or is incomplete", "Read the output shown; earlier archives are kept";
    AfterFailed "after-failed" 1 "The command after a backup failed; its archive is kept on the host", "Read the output shown and fix backup.after, then run deployer backup ENV";
    BackupInvalid "backup-invalid" 6 "An archive is damaged or belongs to something else, and was not restored", "Nothing was changed. Run deployer restore ENV to list the archives on the host";
    BackupUnknown "backup-unknown" 64 "There is no such archive, or no backups are set up", "Run deployer restore ENV to list the archives on the host";
    RestoreUnfinished "restore-unfinished" 1 "Restoring an archive was started and did not end", "Run the same deployer restore again: it starts over, and the previous data is kept until it ends";
    Unhealthy "unhealthy" 1 "The services did not become healthy in time", "Run deployer logs ENV; health.timeout sets the limit";
    CheckFailed "check-failed" 1 "A check of the manifest failed", "Run deployer logs ENV";
    RolledBack "rolled-back" 1 "The change failed and the previous state was restored", "Read the output shown; a release is not tried again until its inputs change or --retry is given";
    ReleaseRejected "release-rejected" 1 "The release was rolled back before and its inputs have not changed since", "Change the application or its variables, or pass --retry";
    ReleaseUnknown "release-unknown" 1 "The host does not have this release", "Run deployer history ENV to list its releases";
    NotConverged "not-converged" 1 "The host still differs after the step", "Run deployer plan ENV to see the differences";
    ProbeUnreadable "probe-unreadable" 1 "The host's answer could not be read", "Run the command with --verbose and report the output";
    OutputTooLarge "output-too-large" 1 "A host, a service or a program sent more output than allowed", "The output was discarded. Check the sender";
    CommandFailed "command-failed" 1 "A command on the host failed", "Read the output shown";
    LeaseHeld "lease-held" 4 "The environment is locked by another run", "Wait for it, or wait longer with --wait; the lease of a run that died expires within a minute";
    LeaseLost "lease-lost" 4 "This run was paused for so long that its lease on the environment expired", "Run the same command again: it continues from the state of the host";
    MarkerMismatch "marker-mismatch" 6 "The directory or the Compose project on the host belongs to another environment or another owner", "Choose another host_directory or project, or pass --take-over if it is really yours";
    ConsentMissing "consent-missing" 6 "Consent to destroying or restoring is missing", "Type the name at the prompt, or pass --allow-destroy ENV or --allow-restore ENV";
    Protected "protected" 6 "The environment is protected from being destroyed", "First apply a manifest that contains the environment with protect: false";
    Suspended "suspended" 6 "The environment is suspended", "Run deployer resume ENV, or name it: deployer apply ENV";
    ManifestEmptied "manifest-emptied" 6 "The manifest has no environments, but some are recorded", "Nothing was changed. If this is intended, destroy them by name first";
    DependencyFailed "dependency-failed" 1 "An environment that this one depends on is not healthy", "Fix that environment first";
    GitPull "git-pull" 1 "The Git checkout cannot follow its upstream", "The checkout was not changed. Read the output shown";
    ListenFailed "listen-failed" 1 "Cannot listen on the address for metrics and health", "Name another address with --listen, or off";
    Interrupted "interrupted" 130 "The run was interrupted by a signal", "Run the same command again: it continues from the state of the host";
}

impl Reason {
    /// Returns true if no session with the host exists, so the host's state is not known.
    #[must_use]
    pub const fn unreachable(self) -> bool {
        use Reason::{
            AuthenticationRejected, ConnectionLost, ConnectionRefused, ConnectionTimeout, HostKeyChanged,
            HostKeyUnknown, KeyPassphrase, KeyUnusable, NameResolution, NoMachine,
        };
        matches!(
            self,
            NoMachine
                | NameResolution
                | ConnectionRefused
                | ConnectionTimeout
                | ConnectionLost
                | HostKeyUnknown
                | HostKeyChanged
                | AuthenticationRejected
                | KeyUnusable
                | KeyPassphrase
        )
    }
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

impl Location {
    /// Points at the first occurrence of `part` in the bytes of `text` that the location underlines.
    pub fn narrow(&mut self, text: &str, part: &str) {
        let Some(span) = self.span.clone() else { return };
        let Some(whole) = text.get(span.clone()) else { return };
        let Some(at) = whole.find(part).filter(|_| !part.is_empty()) else { return };
        let before = &whole[..at];
        self.line += before.matches('\n').count();
        self.column = match before.rsplit_once('\n') {
            Some((_, line)) => line.chars().count() + 1,
            None => self.column + before.chars().count(),
        };
        self.span = Some(span.start + at..span.start + at + part.len());
    }
}

/// Limit of a message in bytes: the text of hosts and programs has no limit.
const MESSAGE: usize = 8 << 10;
/// Limit of the output that explains a failure, in bytes.
const DETAILS: usize = 64 << 10;

/// Failure, ready to be reported. Neither its message nor its cause holds a secret.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The reason.
    pub reason: Reason,
    /// The environment, if there is one.
    pub environment: Option<String>,
    /// The failed action and its object, in sentence case without a final period.
    pub what: String,
    /// The error that caused the failure.
    pub cause: Option<Arc<dyn Error + Send + Sync>>,
    /// The hint; if `None`, the reason's own hint applies.
    pub hint: Option<String>,
    /// The location in a file, if there is one.
    pub location: Option<Location>,
    /// Output that explains the failure (a container's last lines, a compiler's message).
    pub details: Option<String>,
}

impl Failure {
    /// Returns a failure for `reason`. `what` says what failed, and on which object.
    pub fn new(reason: Reason, what: impl Into<String>) -> Self {
        let what = bounded::shortened(what.into(), MESSAGE);
        Self { reason, environment: None, what, cause: None, hint: None, location: None, details: None }
    }

    /// Returns the failure for a channel that received more than its limit.
    #[must_use]
    pub fn too_large(channel: &str, limit: usize) -> Self {
        let size = if limit >= 1 << 20 { format!("{} MiB", limit >> 20) } else { format!("{limit} bytes") };
        Self::new(Reason::OutputTooLarge, format!("{channel} is larger than {size}"))
    }

    /// Sets the error that caused the failure.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.cause = Some(Arc::from(cause.into()));
        self
    }

    /// Puts the purpose of what failed before its message.
    #[must_use]
    pub fn within(mut self, purpose: impl fmt::Display) -> Self {
        self.what = format!("{purpose}: {}", self.what);
        self
    }

    /// Returns what failed and its causes. An error that is not a failure describes its own causes.
    #[must_use]
    pub fn message(&self) -> String {
        let Some(cause) = &self.cause else { return self.what.clone() };
        let cause = cause.downcast_ref::<Self>().map_or_else(|| cause.to_string(), Self::message);
        bounded::shortened(format!("{}: {cause}", self.what), MESSAGE)
    }

    /// Applies a function to every text. Afterwards the cause is a part of the message.
    pub fn each_text(&mut self, each: impl Fn(&mut String)) {
        self.what = self.message();
        self.cause = None;
        let texts = [Some(&mut self.what), self.hint.as_mut(), self.details.as_mut()];
        texts.into_iter().flatten().for_each(each);
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

    /// Returns the hint to print. The general hint of a reason names the environment, if the failure has one.
    #[must_use]
    pub fn advice(&self) -> Cow<'_, str> {
        match (&self.hint, &self.environment) {
            (Some(hint), _) => hint.into(),
            (None, Some(name)) => self.reason.hint().replace("ENV", name).into(),
            (None, None) => self.reason.hint().into(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_ref().map(|cause| &**cause as &(dyn Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn causes_are_chained_and_shown() {
        let refused = Failure::new(Reason::UploadFailed, "Cannot upload").because(io::Error::from_raw_os_error(13));
        let failure = Failure::new(Reason::RolledBack, "Release a was rolled back").because(refused);
        assert_eq!(failure.to_string(), "Release a was rolled back");
        assert_eq!(failure.message(), "Release a was rolled back: Cannot upload: Permission denied (os error 13)");
        let root = failure.source().and_then(Error::source).and_then(|root| root.downcast_ref::<io::Error>());
        assert_eq!(root.and_then(io::Error::raw_os_error), Some(13));
        let mut failure = failure;
        failure.each_text(|text| *text = text.replace("denied", "***"));
        assert!(failure.message().ends_with("Permission *** (os error 13)") && failure.source().is_none());
    }

    #[test]
    fn unreachable_hosts_have_their_own_exit_code() {
        for reason in Reason::ALL {
            assert_eq!(reason.unreachable(), reason.exit() == 7, "{}", reason.code());
        }
    }
}
