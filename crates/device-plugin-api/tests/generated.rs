//! The code in `src/v1beta1.rs` is what the proto gives. `UPDATE=1` writes it.

use std::path::Path;

#[test]
fn the_code_is_generated_from_the_proto() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let proto = protox::compile(["v1beta1.proto"], [root]).expect("a valid proto");
    let folder = std::env::temp_dir().join(format!("device-plugin-api-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let generator = tonic_prost_build::configure()
        .build_transport(false)
        .out_dir(&folder);
    let generated = generator
        .compile_fds(proto)
        .and_then(|()| std::fs::read_to_string(folder.join("v1beta1.rs")));
    let _ = std::fs::remove_dir_all(&folder);
    let generated = generated.expect("code");
    let path = root.join("src/v1beta1.rs");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &generated).expect("the file can be written");
    }
    let kept = std::fs::read_to_string(&path).expect("the code is there");
    assert!(
        kept == generated,
        "src/v1beta1.rs is not what v1beta1.proto gives: run UPDATE=1 cargo test -p podseal-device-plugin-api"
    );
}
