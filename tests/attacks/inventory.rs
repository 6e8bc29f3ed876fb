//! A pull request adds a key file whose name is an Ansible template expression, which Ansible would evaluate when it
//! reads the inventory.

use crate::review::Work;

#[test]
fn no_value_of_an_inventory_is_a_template() {
    let work = Work::new();
    let manifest = |name: &str| {
        format!(
            "version: 1\nproject: shop\nenvironments:\n  web:\n    registered: {{ address: 127.0.0.1 }}\n    ssh: {{ user: deploy, \
             identity_file: {name} }}\n",
            name = serde_json::json!(format!("./{name}"))
        )
    };
    for (name, bad) in [
        ("k{{ 7*7 }}", true),
        ("k{% raw %}", true),
        ("k{# x #}", true),
        ("k\n[all:vars]\nx", true),
        ("k{x}", false),
        ("key", false),
    ] {
        let key = work.repository().join(name);
        let words = ["-q", "-t", "ed25519", "-N", "", "-f"];
        let made = std::process::Command::new("ssh-keygen").args(words).arg(&key).status().unwrap();
        assert!(made.success(), "{name}");
        work.put("deployment.yaml", &manifest(name));
        for form in ["yaml", "ini", "json"] {
            let run = work.run(&["inventory", "--format", form]);
            assert_eq!(run.code != 0, bad, "{name} as {form}: {}{}", run.out, run.err);
            assert_eq!(run.out.is_empty(), bad, "{name} as {form}: {}", run.out);
            assert!(
                !bad || (run.err.contains("ansible_ssh_private_key_file") && run.err.contains("web")),
                "{}",
                run.err
            );
        }
    }
}
