//! Stories of lists of requirements: what pip sees in them is seen here too.

use super::super::{Kind, read};

fn found(text: &str) -> (Vec<(String, Option<String>, u32)>, super::super::Manifest) {
    let manifest = read(Kind::Requirements, "app/requirements.txt", text.as_bytes());
    let list = manifest.dependencies.iter().map(|d| (d.name.clone(), d.version.clone(), d.line.unwrap())).collect();
    (list, manifest)
}

#[test]
fn pins_ranges_extras_markers_and_hashes_are_told_apart() {
    let text = "\u{feff}# comment\nRequests[socks,security] == 2.19.1 ; python_version < '3'  # why\nflask>=1.0,<2\n\
                django==3.2.* \\\n  --hash=sha256:aa \\\n  --hash=sha256:bb\nzope.interface===5.0\nplain\nparen (==1.2)\n\
                both >=1, ==1.4 --hash=sha256:cc\n";
    let (list, manifest) = found(text);
    let pin = |name: &str, version: Option<&str>, line| (name.to_owned(), version.map(ToOwned::to_owned), line);
    assert_eq!(
        list,
        [
            pin("requests", Some("2.19.1"), 2),
            pin("flask", None, 3),
            pin("django", None, 4),
            pin("zope-interface", Some("5.0"), 7),
            pin("plain", None, 8),
            pin("paren", Some("1.2"), 9),
            pin("both", Some("1.4"), 10),
        ]
    );
    assert_eq!(manifest.problems, Vec::<String>::new());
}

#[test]
fn other_files_are_named_and_those_outside_are_a_problem() {
    let (_, manifest) =
        found("-r base.txt\n--requirement=../common/x.txt\n-cpins.txt\n-r ../../secret.txt\n-r https://h/x\n");
    assert_eq!(manifest.includes, ["app/base.txt", "common/x.txt", "app/pins.txt"]);
    assert_eq!(manifest.problems.len(), 2, "{manifest:?}");
}

#[test]
fn addresses_have_a_name_and_no_version_and_paths_are_our_own() {
    let text = "-e .\n./lib\n-e git+https://h/o/r.git@main#egg=Tool[x]\npkg @ https://h/pkg-1.0.tar.gz ; os_name=='nt'\n\
                https://h/wheels/Some_Pkg-2.0-py3-none-any.whl\nvendor/six-1.0.whl\nhttps://h/odd\n";
    let (list, manifest) = found(text);
    let names: Vec<&str> = list.iter().map(|(n, ..)| n.as_str()).collect();
    assert_eq!(names, ["tool", "pkg", "some-pkg", "six"]);
    assert!(list.iter().all(|(_, version, _)| version.is_none()));
    assert_eq!(manifest.problems, ["app/requirements.txt, line 7: installs `https://h/odd`, whose name is not known"]);
}

#[test]
fn a_line_that_is_not_understood_is_a_problem_with_its_number() {
    let (list, manifest) = found("ok==1\n<<<<<<< HEAD\n=======\na b c\n--no-such thing\n--index-url https://h\n");
    assert_eq!(list.len(), 1);
    assert_eq!(manifest.problems.len(), 4, "{manifest:?}");
    assert!(manifest.problems[0].contains("line 2"));
}

fn names(text: &str) -> (Vec<String>, usize) {
    let (list, manifest) = found(text);
    (list.into_iter().map(|(name, ..)| name).collect(), manifest.problems.len())
}

#[test]
fn an_include_is_followed_however_its_option_is_written() {
    let text = "--requirem a.txt\n--constr=b.txt\n--pre -r c.txt\n-i https://h -rd.txt\n--requirement 'e f.txt'\n\
                good==1 -r g.txt\n-r \\\nh.txt\n";
    let (list, manifest) = found(text);
    assert_eq!(list.len(), 1);
    let wanted = ["a.txt", "b.txt", "c.txt", "d.txt", "e f.txt", "g.txt", "h.txt"].map(|n| format!("app/{n}"));
    assert_eq!(manifest.includes, wanted);
    assert_eq!(manifest.problems, Vec::<String>::new());
}

#[test]
fn an_include_that_cannot_be_followed_is_a_problem() {
    for text in [
        "-r file:///srv/x.txt",
        "-r FILE:x.txt",
        "-r file:x.txt",
        "--requirem https://h/x.txt",
        "-r ${WHERE}/x.txt",
        "-r ${WHERE}.txt",
        "-r 'sub\\x.txt'",
        "-r /etc/x.txt",
        "-r package-lock.json",
        "-r",
        "-r 'x.txt",
        "--requirement=",
    ] {
        let (_, manifest) = found(text);
        assert_eq!((manifest.includes.len(), manifest.problems.len()), (0, 1), "{text} {manifest:?}");
    }
    // pip takes the name as it stands, so do we.
    assert_eq!(found("-r ev%69l.txt\n-r=x.txt\n").1.includes, ["app/ev%69l.txt", "app/=x.txt"]);
}

#[test]
fn what_only_pip_takes_for_a_line_is_one() {
    for end in ["\r", "\u{b}", "\u{c}", "\u{1c}", "\u{85}", "\u{2028}", "\u{2029}"] {
        assert_eq!(names(&format!("good==1\n# harmless{end}evil\n")), (vec!["good".into(), "evil".into()], 0));
    }
    assert_eq!(found("a==1\r\nb==1\r\n").0[1].2, 2, "one end of a line, not two");
    assert_eq!(names("\\evil \\\n\n"), (vec!["evil".into()], 0));
    let told = |text: &str| names(text).1;
    assert_eq!(told("# -*- coding: utf-7 -*-\n# +AAo-evil\n"), 1);
    assert_eq!(told("# coding=latin-1\n# \u{c5}evil\n"), 1, "the second byte of that letter ends a line there");
    assert_eq!(told("# -*- coding: UTF-8 -*-\n# \u{c5}\n# coding: latin-1\n") + told("# vim: coding=latin-1\na\n"), 0);
}

#[test]
fn a_name_that_is_a_variable_is_a_problem_and_a_password_that_is_one_is_not() {
    for text in [
        "${NAME}",
        "${NAME}==1.0",
        "evil${X}",
        "https://h/${X}-1.0.zip",
        "git+https://h/r#egg=${X}",
        "-e ${X}",
        "./${X}",
    ] {
        assert_eq!(names(text), (vec![], 1), "{text}");
    }
    let text = "--index-url https://${USER}:${TOKEN}@h/simple\ntool @ git+https://${TOKEN}@h/r\ngit+https://${T}@h/r#egg=x\nopen==${V}\n";
    let (list, manifest) = found(text);
    assert_eq!(manifest.problems, Vec::<String>::new());
    assert!(list.len() == 3 && list.iter().all(|(_, version, _)| version.is_none()), "{list:?}");
}

#[test]
fn an_archive_counts_by_what_it_is_called_whatever_else_it_is_called() {
    let both = |text: &str| names(text).0;
    assert_eq!(both("https://h/evil-1.0.tar.gz#egg=good"), ["good", "evil"]);
    assert_eq!(both("good @ https://h/evil-1.0-py3-none-any.whl#sha256=aa"), ["good", "evil"]);
    assert_eq!(both("good @ https://h/good-1.0.tar.gz"), ["good"]);
    assert_eq!(both("https://h/%65vil-1.0.tar.gz?x=/good-1.0.zip"), ["evil"]);
    assert_eq!(both("evil-1.0.tar.gz"), ["evil"]);
    assert_eq!(both("good @ https://h/my-evil-1.0.tar.gz"), ["good", "my-evil"]);
    assert_eq!(both("https://h/my-evil-2-x-1.0.tar.gz"), ["my-evil", "my-evil-2-x"]);
    assert_eq!(both("https://h/two-1.0-2-py3-none-any.whl"), ["two"]);
}

#[test]
fn only_what_pypi_itself_serves_is_believed_to_be_the_version_it_is_called() {
    let version = |text: &str| found(text).0[0].1.clone();
    for start in ["", "a @ "] {
        for file in ["a-1.0.1-py3-none-any.whl", "a-1.0.1.tar.gz#sha256=aa"] {
            let at = |host: &str| version(&format!("{start}{host}/packages/aa/bb/{file}"));
            assert_eq!(at("https://files.pythonhosted.org").as_deref(), Some("1.0.1"));
            for host in [
                "https://h",
                "http://files.pythonhosted.org",
                "https://files.pythonhosted.org.h",
                "https://files.pythonhosted.org@h",
            ] {
                assert_eq!(at(host), None, "{host}");
            }
        }
    }
}
