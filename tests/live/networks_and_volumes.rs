//! Networks and volumes of an application are as its Compose file defines them. Compose itself ignores most changes.

use crate::bed::{BedHost, Work};
use crate::scene::containers;

/// Compose file of two services: `web` is in the network `back`, and `side` is not. `web` has the volume `data`.
fn compose(network: &str, volume: &str) -> String {
    format!(
        r#"services:
  web:
    image: demo:1
    command: ["httpd", "-f", "-p", "8080", "-h", "/www"]
    init: true
    ports: ["8080:8080"]
    networks: [front, back]
    volumes: ["./html:/www:ro", "data:/data"]
  side:
    image: demo:1
    command: ["httpd", "-f", "-p", "8081", "-h", "/bin"]
    init: true
    networks: [front]
networks:
  front:
  back: {network}
volumes:
  data: {volume}
"#
    )
}

fn work(host: &BedHost, network: &str, volume: &str) -> Work {
    let work = Work::demo(host);
    work.write("app/compose.yaml", compose(network, volume));
    work
}

const NETWORK: &str = "shop--production_back";
const VOLUME: &str = "shop--production_data";

fn is_internal(host: &BedHost) -> String {
    host.shell(&format!("docker network inspect -f '{{{{.Internal}}}}' {NETWORK}")).trim().to_owned()
}

/// Returns the networks of the container of `web`.
fn networks_of_web(host: &BedHost) -> String {
    host.shell(
        "docker inspect -f '{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}' shop--production-web-1",
    )
}

#[test]
fn a_network_is_made_again_when_its_definition_changes_or_somebody_changes_it() {
    let host = BedHost::docker();
    let work = work(&host, "{}", "{}");
    work.apply().expect(0);
    assert_eq!(work.apply().expect(0).outcome(), "converged");
    let before = containers(&host);

    work.write("app/compose.yaml", compose("{ internal: true }", "{}"));
    work.apply().expect(0);
    assert_eq!(is_internal(&host), "true");
    let after = containers(&host);
    assert_ne!(after["web"], before["web"], "it is connected with the new network");
    assert_eq!(after["side"], before["side"], "it is not in this network");
    assert!(networks_of_web(&host).contains(NETWORK));
    assert_eq!(work.apply().expect(0).outcome(), "converged");

    // The next release leaves the containers as they are.
    work.write("app/note.txt", "nobody reads this\n");
    work.apply().expect(0);
    assert_eq!(containers(&host), after);

    // Drift: somebody makes the network again with another definition.
    host.shell(&format!(
        "docker network disconnect -f {NETWORK} shop--production-web-1; docker network rm {NETWORK}; \
         docker network create --label com.docker.compose.project=shop--production --label com.docker.compose.network=back {NETWORK}; \
         docker network connect {NETWORK} shop--production-web-1"
    ));
    let plan = work.run(&["plan", "--json", "--detailed-exitcode"]).expect(2);
    assert!(plan.stdout.contains("internal is false"), "{}", plan.stdout);
    assert!(plan.stdout.contains("replaces the network and the containers of web"), "{}", plan.stdout);
    work.apply().expect(0);
    assert_eq!(is_internal(&host), "true");
    assert!(networks_of_web(&host).contains(NETWORK));
    assert_eq!(work.apply().expect(0).outcome(), "converged");

    // A rollback restores the network of the earlier release.
    let failing = compose("{}", "{}").replacen(r#"["httpd", "-f", "-p", "8080", "-h", "/www"]"#, r#"["false"]"#, 1);
    work.write("app/compose.yaml", failing);
    assert_eq!(work.apply().expect(1).reasons(), ["rolled-back"]);
    assert_eq!(is_internal(&host), "true");
    assert!(networks_of_web(&host).contains(NETWORK));

    // A network that left the file is removed.
    let without = compose("{}", "{}").replace("[front, back]", "[front]").replace("  back: {}\n", "");
    work.write("app/compose.yaml", without);
    work.apply().expect(0);
    assert!(!host.holds(&format!("docker network inspect {NETWORK}")));
}

#[test]
fn a_network_that_other_containers_use_stays_and_nothing_stops() {
    let host = BedHost::docker();
    let work = work(&host, "{}", "{}");
    work.apply().expect(0);
    host.shell(&format!("docker run -d --name guest --network {NETWORK} demo:1 sleep 1000"));
    let before = containers(&host);
    work.write("app/compose.yaml", compose("{ internal: true }", "{}"));
    let run = work.apply().expect(1);
    assert!(run.stdout.contains("container guest, which is not part of the application, uses it"), "{}", run.stdout);
    assert_eq!(containers(&host), before);
    host.shell("docker rm -f guest");
    work.run(&["apply", "--json", "--retry"]).expect(0);
    assert_eq!(is_internal(&host), "true");
}

#[test]
fn a_volume_that_is_gone_or_has_other_options_stops_the_release() {
    let host = BedHost::docker();
    let work = work(&host, "{}", "{}");
    work.apply().expect(0);
    let before = containers(&host);

    work.write("app/compose.yaml", compose("{}", "{ driver_opts: { type: tmpfs, device: tmpfs } }"));
    let run = work.apply().expect(1);
    assert_eq!(run.reasons(), ["volume-differs"]);
    assert!(run.stdout.contains(VOLUME), "{}", run.stdout);
    assert_eq!(containers(&host), before, "nothing was stopped");
    work.write("app/compose.yaml", compose("{}", "{}"));
    work.apply().expect(0);

    host.shell(&format!("docker rm -f $(docker ps -aq); docker volume rm {VOLUME}"));
    let run = work.apply().expect(6);
    assert_eq!(run.reasons(), ["data-missing"]);
    assert!(run.stdout.contains(&format!("deployer apply production --new-volume {VOLUME}")), "{}", run.stdout);
    assert!(!host.holds(&format!("docker volume inspect {VOLUME}")), "no empty volume was made");
    work.run(&["apply", "--json", "--new-volume", VOLUME]).expect(0);
    assert!(host.holds(&format!("docker volume inspect {VOLUME}")));
    assert_eq!(work.apply().expect(0).outcome(), "converged");
}

#[test]
fn a_volume_is_unknown_while_docker_is_stopped_and_compared_before_the_services_start() {
    let host = BedHost::docker();
    let work = work(&host, "{}", "{}");
    work.apply().expect(0);
    host.shell("docker exec shop--production-web-1 touch /data/kept");

    host.shell("systemctl stop docker.socket docker.service");
    let run = work.run(&["plan", "--json"]).expect(0);
    let plan = run.of("plan").remove(0);
    let facts = |kind: &str| -> Vec<String> {
        let steps = plan["steps"].as_array().expect("a list").iter().filter(|step| step["kind"] == kind);
        let changes = steps.flat_map(|step| step["changes"].as_array().expect("a list").iter());
        changes.map(|change| format!("{}: {}", change["fact"], change["from"]).replace('"', "")).collect()
    };
    assert_eq!(facts("engine"), ["docker: stopped"], "{plan}");
    assert_eq!(facts("images"), ["demo:1: unknown: Docker does not answer"], "{plan}");
    assert!(facts("services").contains(&format!("volume {VOLUME}: unknown: Docker does not answer")), "{plan}");
    assert!(facts("services").contains(&"web: unknown: Docker does not answer".to_owned()), "{plan}");
    let status = work.run(&["status", "--json"]).of("environment").remove(0);
    assert_eq!(status["services"]["web"], "unknown: Docker does not answer", "{status}");
    assert_eq!(work.apply().expect(0).outcome(), "changed");
    host.shell("docker exec shop--production-web-1 ls /data/kept");
    assert_eq!(work.apply().expect(0).outcome(), "converged");

    // A volume that really is gone is found once the engine runs, and no empty one takes its place.
    host.shell(&format!("docker rm -f $(docker ps -aq); docker volume rm {VOLUME}"));
    host.shell("systemctl stop docker.socket docker.service");
    let run = work.apply();
    assert_eq!(run.reasons(), ["data-missing"], "{}", run.stdout);
    assert!(host.holds("docker version") && !host.holds(&format!("docker volume inspect {VOLUME}")));
}

#[test]
fn a_container_name_or_a_subnet_of_somebody_else_is_refused_before_anything_stops() {
    let host = BedHost::docker();
    let work = work(&host, "{}", "{}");
    work.apply().expect(0);
    let before = containers(&host);
    host.shell("docker run -d --name taken demo:1 sleep 1000; docker network create --subnet 10.99.0.0/16 foreign");

    work.edit("app/compose.yaml", "  side:\n", "  side:\n    container_name: taken\n");
    let run = work.apply().expect(1);
    assert_eq!(run.reasons(), ["name-taken"]);
    assert!(run.stdout.contains("container_name taken"), "{}", run.stdout);
    work.write("app/compose.yaml", compose("{ ipam: { config: [{ subnet: 10.99.4.0/24 }] } }", "{}"));
    let run = work.apply().expect(1);
    assert_eq!(run.reasons(), ["name-taken"]);
    assert!(run.stdout.contains("overlaps with network foreign"), "{}", run.stdout);
    let of_ours = |all: &std::collections::BTreeMap<String, String>| (all["web"].clone(), all["side"].clone());
    assert_eq!(of_ours(&containers(&host)), of_ours(&before));

    // Our own container's name and our own network's subnet are ours.
    let named = compose("{ ipam: { config: [{ subnet: 10.98.4.0/24 }] } }", "{}");
    work.write("app/compose.yaml", named.replace("  side:\n", "  side:\n    container_name: mine\n"));
    work.apply().expect(0);
    work.edit("app/compose.yaml", "8081", "8082");
    work.apply().expect(0);
}
