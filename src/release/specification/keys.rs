//! The keys of a Compose file and the forms of their values, as of July 2026. Source: the JSON schema with which Docker
//! Compose itself checks files (<https://github.com/compose-spec/compose-go/blob/main/schema/compose-spec.json>).

use super::Form::{self, Any, Bool, Either, Flag, Free, Keys, List, Named, Number, Text, Word};

const TEXTS: Form = List(&Text);
const ONE_OR_MORE: Form = Either(&[Text, TEXTS]);
const SCALARS: Form = Free(&Either(&[Text, Number, Bool]));
const PAIRS: Form = Either(&[SCALARS, TEXTS]);
const COMMAND: Form = ONE_OR_MORE;
const HOSTS: Form = Either(&[Free(&ONE_OR_MORE), TEXTS]);
const LIMITS: Form = Free(&Either(&[Number, Keys(&[("hard", Number), ("soft", Number)])]));
const OPTIONS: Form = Free(&Either(&[Text, Number]));
const EXTERNAL: Form = Either(&[Flag, Keys(&[("name", Text)])]);

/// A Compose file.
pub const FILE: Form = Keys(&[
    ("version", Text),
    ("name", Text),
    ("include", List(&INCLUDE)),
    ("services", Named("service", &SERVICE)),
    ("models", Named("model", &MODEL)),
    ("networks", Named("network", &NETWORK)),
    ("volumes", Named("volume", &VOLUME)),
    ("secrets", Named("secret", &SECRET)),
    ("configs", Named("config", &CONFIG)),
]);

const INCLUDE: Form =
    Either(&[Text, Keys(&[("path", ONE_OR_MORE), ("env_file", ONE_OR_MORE), ("project_directory", Text)])]);

const SERVICE: Form = Keys(&[
    ("annotations", PAIRS),
    ("attach", Flag),
    ("blkio_config", BLOCK_IO),
    ("build", Either(&[Text, BUILD])),
    ("cap_add", TEXTS),
    ("cap_drop", TEXTS),
    ("cgroup", Word(&["host", "private"])),
    ("cgroup_parent", Text),
    ("command", COMMAND),
    ("configs", List(&FILE_OF_SERVICE)),
    ("container_name", Text),
    ("cpu_count", Number),
    ("cpu_percent", Number),
    ("cpu_period", Number),
    ("cpu_quota", Number),
    ("cpu_rt_period", Number),
    ("cpu_rt_runtime", Number),
    ("cpu_shares", Number),
    ("cpus", Number),
    ("cpuset", Text),
    ("credential_spec", Keys(&[("config", Text), ("file", Text), ("registry", Text)])),
    ("depends_on", Either(&[TEXTS, Named("service", &DEPENDENCY)])),
    ("deploy", DEPLOY),
    ("develop", Keys(&[("watch", List(&WATCH))])),
    ("device_cgroup_rules", TEXTS),
    ("devices", List(&Either(&[Text, Keys(&[("source", Text), ("target", Text), ("permissions", Text)])]))),
    ("dns", ONE_OR_MORE),
    ("dns_opt", TEXTS),
    ("dns_search", ONE_OR_MORE),
    ("domainname", Text),
    ("entrypoint", COMMAND),
    ("env_file", Either(&[Text, List(&ENV_FILE)])),
    ("environment", PAIRS),
    ("expose", List(&Either(&[Text, Number]))),
    ("extends", Either(&[Text, Keys(&[("service", Text), ("file", Text)])])),
    ("external_links", TEXTS),
    ("extra_hosts", HOSTS),
    ("gpus", Either(&[Word(&["all"]), List(&DEVICE)])),
    ("group_add", List(&Either(&[Text, Number]))),
    ("healthcheck", HEALTH_CHECK),
    ("hostname", Text),
    ("image", Text),
    ("init", Flag),
    ("ipc", Text),
    ("isolation", Text),
    ("label_file", ONE_OR_MORE),
    ("labels", PAIRS),
    ("links", TEXTS),
    ("logging", Keys(&[("driver", Text), ("options", OPTIONS)])),
    ("mac_address", Text),
    ("mem_limit", Number),
    ("mem_reservation", Number),
    ("mem_swappiness", Number),
    ("memswap_limit", Number),
    ("models", Either(&[TEXTS, Free(&Keys(&[("endpoint_var", Text), ("model_var", Text)]))])),
    ("network_mode", Text),
    ("networks", Either(&[TEXTS, Named("network", &NETWORK_OF_SERVICE)])),
    ("oom_kill_disable", Flag),
    ("oom_score_adj", Number),
    ("pid", Text),
    ("pids_limit", Number),
    ("platform", Text),
    ("ports", List(&Either(&[Number, Text, PORT]))),
    ("post_start", List(&HOOK)),
    ("pre_start", List(&HOOK_BEFORE)),
    ("pre_stop", List(&HOOK)),
    ("privileged", Flag),
    ("profiles", TEXTS),
    ("provider", Keys(&[("type", Text), ("options", Any)])),
    ("pull_policy", Text),
    ("pull_refresh_after", Text),
    ("read_only", Flag),
    ("restart", Text),
    ("runtime", Text),
    ("scale", Number),
    ("secrets", List(&FILE_OF_SERVICE)),
    ("security_opt", TEXTS),
    ("shm_size", Number),
    ("stdin_open", Flag),
    ("stop_grace_period", Text),
    ("stop_signal", Text),
    ("storage_opt", Any),
    ("sysctls", PAIRS),
    ("tmpfs", ONE_OR_MORE),
    ("tty", Flag),
    ("ulimits", LIMITS),
    ("use_api_socket", Bool),
    ("user", Text),
    ("userns_mode", Text),
    ("uts", Text),
    ("volumes", List(&Either(&[Text, MOUNT]))),
    ("volumes_from", TEXTS),
    ("working_dir", Text),
]);

const BLOCK_IO: Form = Keys(&[
    ("device_read_bps", List(&BLOCK_RATE)),
    ("device_read_iops", List(&BLOCK_RATE)),
    ("device_write_bps", List(&BLOCK_RATE)),
    ("device_write_iops", List(&BLOCK_RATE)),
    ("weight", Number),
    ("weight_device", List(&Keys(&[("path", Text), ("weight", Number)]))),
]);

const BLOCK_RATE: Form = Keys(&[("path", Text), ("rate", Number)]);

const BUILD: Form = Keys(&[
    ("additional_contexts", PAIRS),
    ("args", PAIRS),
    ("cache_from", TEXTS),
    ("cache_to", TEXTS),
    ("context", Text),
    ("dockerfile", Text),
    ("dockerfile_inline", Text),
    ("entitlements", TEXTS),
    ("extra_hosts", HOSTS),
    ("isolation", Text),
    ("labels", PAIRS),
    ("network", Text),
    ("no_cache", Flag),
    ("no_cache_filter", ONE_OR_MORE),
    ("platforms", TEXTS),
    ("privileged", Flag),
    ("provenance", Flag),
    ("pull", Flag),
    ("sbom", Flag),
    ("secrets", List(&FILE_OF_SERVICE)),
    ("shm_size", Number),
    ("ssh", PAIRS),
    ("tags", TEXTS),
    ("target", Text),
    ("ulimits", LIMITS),
]);

const FILE_OF_SERVICE: Form =
    Either(&[Text, Keys(&[("source", Text), ("target", Text), ("uid", Text), ("gid", Text), ("mode", Number)])]);

const DEPENDENCY: Form = Keys(&[
    ("condition", Word(&["service_started", "service_healthy", "service_completed_successfully"])),
    ("required", Bool),
    ("restart", Flag),
]);

const DEPLOY: Form = Keys(&[
    ("endpoint_mode", Text),
    ("labels", PAIRS),
    ("mode", Text),
    (
        "placement",
        Keys(&[
            ("constraints", TEXTS),
            ("max_replicas_per_node", Number),
            ("preferences", List(&Keys(&[("spread", Text)]))),
        ]),
    ),
    ("replicas", Number),
    (
        "resources",
        Keys(&[
            ("limits", Keys(&[("cpus", Number), ("memory", Text), ("pids", Number)])),
            (
                "reservations",
                Keys(&[
                    ("cpus", Number),
                    ("devices", List(&DEVICE)),
                    ("generic_resources", List(&GENERIC)),
                    ("memory", Text),
                ]),
            ),
        ]),
    ),
    ("restart_policy", Keys(&[("condition", Text), ("delay", Text), ("max_attempts", Number), ("window", Text)])),
    ("rollback_config", ROLLING),
    ("update_config", ROLLING),
]);

const ROLLING: Form = Keys(&[
    ("delay", Text),
    ("failure_action", Text),
    ("max_failure_ratio", Number),
    ("monitor", Text),
    ("order", Word(&["start-first", "stop-first"])),
    ("parallelism", Number),
]);

const GENERIC: Form = Keys(&[("discrete_resource_spec", Keys(&[("kind", Text), ("value", Number)]))]);

const DEVICE: Form =
    Keys(&[("capabilities", TEXTS), ("count", Number), ("device_ids", TEXTS), ("driver", Text), ("options", PAIRS)]);

const WATCH: Form = Keys(&[
    ("action", Word(&["rebuild", "sync", "restart", "sync+restart", "sync+exec"])),
    ("exec", HOOK),
    ("ignore", ONE_OR_MORE),
    ("include", ONE_OR_MORE),
    ("initial_sync", Bool),
    ("path", Text),
    ("target", Text),
]);

/// Form of a hook: the keys of every hook, and more.
macro_rules! hook {
    ($($more:expr),*) => {
        Keys(&[
            ("command", COMMAND),
            ("environment", PAIRS),
            ("privileged", Flag),
            ("user", Text),
            ("working_dir", Text),
            $($more),*
        ])
    };
}

const HOOK: Form = hook!();
const HOOK_BEFORE: Form = hook!(("image", Text), ("per_replica", Flag));

const ENV_FILE: Form = Either(&[Text, Keys(&[("format", Text), ("path", Text), ("required", Flag)])]);

const HEALTH_CHECK: Form = Keys(&[
    ("disable", Flag),
    ("interval", Text),
    ("retries", Number),
    ("start_interval", Text),
    ("start_period", Text),
    ("test", ONE_OR_MORE),
    ("timeout", Text),
]);

const NETWORK_OF_SERVICE: Form = Keys(&[
    ("aliases", TEXTS),
    ("driver_opts", OPTIONS),
    ("gw_priority", Number),
    ("interface_name", Text),
    ("ipv4_address", Text),
    ("ipv6_address", Text),
    ("link_local_ips", TEXTS),
    ("mac_address", Text),
    ("priority", Number),
]);

const PORT: Form = Keys(&[
    ("app_protocol", Text),
    ("host_ip", Text),
    ("mode", Text),
    ("name", Text),
    ("protocol", Text),
    ("published", Either(&[Text, Number])),
    ("target", Number),
]);

const MOUNT: Form = Keys(&[
    (
        "bind",
        Keys(&[
            ("create_host_path", Flag),
            ("propagation", Text),
            ("recursive", Word(&["enabled", "disabled", "writable", "readonly"])),
            ("selinux", Word(&["z", "Z"])),
        ]),
    ),
    ("consistency", Text),
    ("image", Keys(&[("subpath", Text)])),
    ("read_only", Flag),
    ("source", Text),
    ("target", Text),
    ("tmpfs", Keys(&[("mode", Number), ("size", Number)])),
    ("type", Word(&["bind", "volume", "tmpfs", "cluster", "npipe", "image"])),
    ("volume", Keys(&[("labels", PAIRS), ("nocopy", Flag), ("subpath", Text)])),
]);

const MODEL: Form = Keys(&[("context_size", Number), ("model", Text), ("name", Text), ("runtime_flags", TEXTS)]);

const NETWORK: Form = Keys(&[
    ("attachable", Flag),
    ("driver", Text),
    ("driver_opts", OPTIONS),
    ("enable_ipv4", Flag),
    ("enable_ipv6", Flag),
    ("external", EXTERNAL),
    ("internal", Flag),
    ("ipam", Keys(&[("config", List(&SUBNET)), ("driver", Text), ("options", Free(&Text))])),
    ("labels", PAIRS),
    ("name", Text),
]);

const SUBNET: Form = Keys(&[("aux_addresses", Free(&Text)), ("gateway", Text), ("ip_range", Text), ("subnet", Text)]);

const VOLUME: Form =
    Keys(&[("driver", Text), ("driver_opts", OPTIONS), ("external", EXTERNAL), ("labels", PAIRS), ("name", Text)]);

const SECRET: Form = Keys(&[
    ("driver", Text),
    ("driver_opts", OPTIONS),
    ("environment", Text),
    ("external", EXTERNAL),
    ("file", Text),
    ("labels", PAIRS),
    ("name", Text),
    ("template_driver", Text),
]);

const CONFIG: Form = Keys(&[
    ("content", Text),
    ("environment", Text),
    ("external", EXTERNAL),
    ("file", Text),
    ("labels", PAIRS),
    ("name", Text),
    ("template_driver", Text),
]);
