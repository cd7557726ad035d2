//! What takes a file of Go out of the build: build tags and names.

mod tamper_kit;

use orch_testguard::tamper::Kind;
use tamper_kit::{found, loud, silent, told};

const IGNORED: Kind = Kind::TestIgnored;

const GO: &str = "package cart\n\nfunc TestTotal(t *testing.T) {\n\tif total() != 3 {\n\t\tt.Fatal()\n\t}\n}\n";

#[test]
fn build_tags_are_read_as_the_go_command_reads_them() {
    for head in [
        "//go:build\tignore\n\n",
        "/* Copyright. */\n\n//go:build ignore\n\n",
        "/*\npackage cart is tested here.\n*/\n\n//go:build ignore\n\n",
        "/* one */ /* two\n*/ // three\n  //go:build ignore\n",
        "//+build ignore\n\n",
        "// +build\tignore\n\n",
        "// +build !linux windows\n\n",
        "//go:build linux && never\n\n",
        "//go:build !linux\n\n",
        "//go:build !(linux || darwin)\n\n",
        "//go:build windows\n\n",
        "//go:build integration || e2e\n\n",
        "//go:build linux && race\n\n",
        "//go:build linux &&\n\n",
        "//go:build !cgo\n\n",
        "//go:build !racer\n\n",
        "//go:build cgo && race\n\n",
        "//go:build go1.99\n\n",
        "//go:build !go1.18\n\n",
    ] {
        let to = format!("{head}package cart");
        loud("cart_test.go", GO, &[(IGNORED, "TestTotal", (head, "package cart", &to))]);
    }
    for head in [
        "/*\n//go:build ignore\n*/\n\n",
        "/* //go:build ignore */\n",
        "// go:build ignore\n\n",
        "//go:builder ignore\n\n",
        "//go:generate ignore\n\n",
        "//go:build linux || darwin\n\n",
        "//go:build unix && !windows\n\n",
        "//go:build !js && (go1.21 || integration)\n\n",
        "//go:build !ignore\n\n",
        "// +build linux,!windows darwin\n\n",
        "//go:build !race\n\n",
        "//go:build cgo\n\n",
        "//go:build cgo && !race && !asan\n\n",
        "// +build !race\n\n",
    ] {
        silent("cart_test.go", GO, &[(head, "package cart", &format!("{head}package cart"))]);
    }
    silent("cart_test.go", GO, &[("behind the package", "package cart", "package cart\n\n//go:build ignore")]);
    // From some builds to none is told as well, and back is not.
    let (some, none) = (format!("//go:build race\n\n{GO}"), format!("//go:build ignore\n\n{GO}"));
    assert_eq!(found("cart_test.go", &some, &none), [(IGNORED, "TestTotal".to_owned())]);
    assert_eq!(found("cart_test.go", &none, &some), []);
}

#[test]
fn a_name_may_be_for_every_system_and_processor_there_ever_was() {
    let systems =
        "aix android darwin dragonfly freebsd hurd illumos ios js nacl netbsd openbsd plan9 solaris wasip1 windows zos";
    let processors = "386 amd64 amd64p32 arm armbe arm64 arm64be loong64 mips mipsle mips64 mips64le mips64p32 mips64p32le ppc ppc64 ppc64le riscv riscv64 s390 s390x sparc sparc64 wasm";
    let renamed = |to: &str| told(&[("a/cart_test.go", Some(GO), None), (to, None, Some(GO))]);
    for tag in systems.split(' ').chain(processors.split(' ')) {
        let to = format!("a/cart_{tag}_test.go");
        assert_eq!(renamed(&to), [(IGNORED, "TestTotal".to_owned())], "{to}");
        assert_eq!(renamed(&format!("a/{tag}_test.go")), [], "{tag} is the whole name");
        assert_eq!(renamed(&format!("a/cart_{tag}_shop_test.go")), [], "{tag} in the middle");
    }
    for to in ["a/cart_linux_test.go", "a/cart_windowsill_test.go", "a/cart_unix_test.go", "a/cart_arms_test.go"] {
        assert_eq!(renamed(to), [], "{to}");
    }
    assert_eq!(renamed("a/cart_zos_s390x_test.go"), [(IGNORED, "TestTotal".to_owned())]);
}
