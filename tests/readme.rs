//! The README's generated parts are fresh. `UPDATE=1 cargo test --test readme` makes them anew; the
//! test never passes on a README that lacks them.

const BEGIN: &str = "<!-- reasons -->\n";
const END: &str = "<!-- /reasons -->";

#[test]
#[expect(clippy::disallowed_methods, reason = "a switch for people, not for the program")]
fn the_table_of_reasons_is_fresh() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(path).expect("README.md is there");
    let (before, rest) = readme.split_once(BEGIN).expect("README.md holds <!-- reasons -->");
    let (block, after) = rest.split_once(END).expect("README.md holds <!-- /reasons -->");
    let table = deployer::failure::table();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, format!("{before}{BEGIN}{table}{END}{after}")).expect("README.md can be written");
    } else {
        assert!(block == table, "README.md is behind src/failure.rs: UPDATE=1 cargo test --test readme");
    }
}
