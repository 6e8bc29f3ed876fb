//! Removal of releases, and of images, that no rollback goes back to any more.

use crate::model::shell::quote;
use crate::resource::contract::record::ReleaseRecord;

/// Shell, after [`crate::resource::images::REMOVE`], that removes an image that we brought if no release of the
/// environment runs with it and the manifest does not name it. An image that another environment needs is kept and
/// stays recorded.
pub const UNUSED_IMAGES: &str = r#"if [ -e "$state/brought" ]; then
  { cat "$state/current.json" */release.json 2>/dev/null; wanted; } | grep -o 'sha256:[0-9a-f]\{64\}' | sort -u > "$state/used"
  kept=$(sort -u "$state/brought" | grep -vxF -f "$state/used" | remove_images)
  lines=$({ sort -u "$state/brought" | grep -xF -f "$state/used" || :; printf '%s' "${kept:+$kept
}"; } | sort -u)
  write_whole "$state/brought" %s "${lines:+$lines
}"
  if [ -e "$state/built" ]; then
    lines=$(sort -u "$state/built" | grep -F -f "$state/brought" || true)
    write_whole "$state/built" %s "${lines:+$lines
}"
  fi
  rm -f "$state/used"
fi"#;

/// Returns shell that removes old releases from the current directory, and keeps `keep` releases, this one included.
/// Releases that never converged are removed first: a killed run left them, and they would displace releases that can
/// be restored. So would earlier releases from the same inputs, which repairs leave.
pub fn remove(record: &ReleaseRecord, keep: usize) -> String {
    let id = quote(&record.id);
    let digest = quote(&format!(r#""digest":"{}""#, record.digest));
    let pulled = match serde_json::to_string(&record.pulled).unwrap_or_default().as_str() {
        "{}" => r#"! grep -qsF '"pulled":{'"#.to_owned(),
        images => format!("grep -qsF -- {}", quote(&format!(r#""pulled":{images}"#))),
    };
    format!(
        r#"ls | grep -vxF -- {id} | while IFS= read -r old; do grep -qs '"end":"' "$old/release.json" || rm -rf -- "$old"; done
ls | grep -vxF -- {id} | while IFS= read -r old; do
  if grep -qsF -- {digest} "$old/release.json" && {pulled} "$old/release.json"; then rm -rf -- "$old"; fi
done
ls | grep -vxF -- {id} | while IFS= read -r old; do
  order=$(grep -os '"order":[0-9]*' "$old/release.json" | head -n 1 | cut -d : -f 2)
  printf '%s %s\n' "${{order:-0}}" "$old"
done | sort -k 1,1nr -k 2,2r | tail -n +{keep} | while read -r _ old; do rm -rf -- "$old"; done
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the releases that are left of these, each with its digest and the rest of its record.
    #[expect(clippy::disallowed_methods, reason = "the shell of the host is tried on this machine")]
    fn left(live: &str, releases: &[(&str, &str, &str)], keep: usize) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        for (order, (id, digest, rest)) in releases.iter().enumerate() {
            std::fs::create_dir(folder.path().join(id)).unwrap();
            let record = format!(r#"{{"id":"{id}","order":{order},"digest":"{digest}"{rest}}}"#);
            std::fs::write(folder.path().join(id).join("release.json"), record).unwrap();
        }
        let (_, digest, _) = releases.iter().find(|(id, ..)| *id == live).unwrap();
        let record = ReleaseRecord { id: live.into(), digest: (*digest).into(), ..ReleaseRecord::default() };
        let script = remove(&record, keep);
        let run = std::process::Command::new("sh").args(["-euc", &script]).current_dir(folder.path()).status().unwrap();
        assert!(run.success());
        let names = std::fs::read_dir(folder.path()).unwrap();
        let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn only_releases_that_somebody_can_go_back_to_are_kept() {
        const ENDED: &str = r#","services":{"web":{"end":"running"}}"#;
        const FOLLOWED: &str = r#","services":{"web":{"end":"running"}},"pulled":{"web:1":"sha256:0"}"#;
        let releases = [
            ("a", "one", ENDED),
            ("b", "two", ENDED),
            ("c", "three", ""),
            ("d", "four", FOLLOWED),
            ("e", "two", ENDED),
            ("f", "four", ENDED),
        ];
        assert_eq!(left("f", &releases, 5), ["a", "b", "d", "e", "f"], "c never converged, and d had other images");
        assert_eq!(left("e", &releases[..5], 5), ["a", "d", "e"], "b was made from the inputs of e");
        assert_eq!(left("f", &releases, 2), ["e", "f"]);
    }
}
