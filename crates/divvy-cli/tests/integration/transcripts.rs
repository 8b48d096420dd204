//! Commands and their output: each file of `cmd/`, and `docs/REPORTS.md`, is a page of the manual and
//! a test.
//! `TRYCMD=overwrite cargo test -p divvy-cli transcripts` writes them again.

#[test]
fn the_manual_is_true() {
    trycmd::TestCases::new()
        .env("DIVVY_STORE", "divvy-data")
        .env("COLUMNS", "100")
        .case("tests/cmd/*.md")
        .case("../../docs/REPORTS.md");
}
