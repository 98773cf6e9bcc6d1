//! The page is compiled in from a folder that Node fills. It may be empty, and it has to be there: a binary that was
//! compiled without it would never look again.

fn main() {
    let page = "../../clients/dashboard/dist";
    std::fs::create_dir_all(page).expect("the page's folder can be made");
    println!("cargo::rerun-if-changed={page}");
}
