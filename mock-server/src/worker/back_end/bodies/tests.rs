use super::*;

const HTML_BODY: &str = "<b>Grüße</b> an alle";

fn prefers(body_type: u8, truncation_size: Option<u32>, all_or_none: bool) -> BodyPreference {
    BodyPreference {
        body_type,
        truncation_size,
        all_or_none,
        preview: None,
    }
}

fn formed(body: &str, native: u8, form: &Form, version: ProtocolVersion) -> Email<'static> {
    let mut email = Email {
        body: body.to_owned().into(),
        body_type: native,
        ..Email::default()
    };
    let mime = form.takes_mime(false, version).then_some("To: x\r\n\r\ny");
    let mut body_room = 100;
    form.apply(&mut email, mime, version, &mut body_room);
    assert_eq!(body_room, 100 - email.body.len());
    email
}

/// Type of the answer, its body, whether it was cut, and the size of the whole.
fn outcome(body: &str, native: u8, form: &Form) -> (u8, String, bool, Option<u32>) {
    let email = formed(body, native, form, ProtocolVersion::V14_1);
    let size = email.estimated_size;
    (
        email.body_type,
        email.body.into_owned(),
        email.truncated,
        size,
    )
}

#[test]
fn the_best_preference_is_the_own_form_then_the_richest() {
    for (native, types, chosen) in [
        (HTML, &[PLAIN, HTML][..], HTML),
        (HTML, &[HTML, PLAIN], HTML),
        (PLAIN, &[HTML, PLAIN], PLAIN),
        (PLAIN, &[RTF, HTML], HTML),
        (HTML, &[RTF, PLAIN], PLAIN),
        (HTML, &[RTF], RTF),
        (HTML, &[PLAIN, MIME], PLAIN),
        (HTML, &[MIME], MIME),
        (HTML, &[], PLAIN),
    ] {
        let form = Form {
            preferences: types.iter().map(|one| prefers(*one, None, false)).collect(),
            ..Form::default()
        };
        assert_eq!(outcome("x", native, &form).0, chosen, "{native} {types:?}");
    }
}

#[test]
fn mime_is_sent_where_mime_support_allows_it() {
    for (support, types, chosen) in [
        (0, &[MIME][..], PLAIN),
        (0, &[HTML, MIME], HTML),
        (1, &[HTML, MIME], HTML),
        (2, &[HTML, MIME], MIME),
        (2, &[MIME], MIME),
        (2, &[HTML], HTML),
    ] {
        let form = Form {
            preferences: types.iter().map(|one| prefers(*one, None, false)).collect(),
            mime_support: Some(support),
            ..Form::default()
        };
        assert_eq!(outcome("x", HTML, &form).0, chosen, "{support} {types:?}");
    }
    let signed = Form {
        preferences: vec![prefers(MIME, None, false)],
        mime_support: Some(FOR_SMIME),
        ..Form::default()
    };
    assert!(signed.takes_mime(true, ProtocolVersion::V14_1));
}

#[test]
fn a_body_is_cut_unless_all_or_none_forbids_it() {
    let whole = HTML_BODY.len() as u32;
    let text = "Grüße an alle";
    for (preferences, expected) in [
        (
            vec![prefers(HTML, Some(whole), false)],
            (HTML, HTML_BODY, false, None),
        ),
        // The fifth and sixth byte are one character.
        (
            vec![prefers(PLAIN, Some(3), false)],
            (PLAIN, "Gr", true, Some(text.len() as u32)),
        ),
        (
            vec![prefers(HTML, Some(0), false)],
            (HTML, "", true, Some(whole)),
        ),
        (
            vec![
                prefers(HTML, Some(20), true),
                prefers(PLAIN, Some(5), false),
            ],
            (PLAIN, "Grü", true, Some(text.len() as u32)),
        ),
        (
            vec![
                prefers(HTML, Some(whole), true),
                prefers(PLAIN, None, false),
            ],
            (HTML, HTML_BODY, false, None),
        ),
        (
            vec![prefers(HTML, Some(3), true)],
            (HTML, "", true, Some(whole)),
        ),
    ] {
        let form = Form {
            preferences: preferences.clone(),
            ..Form::default()
        };
        let (body_type, body, truncated, size) = expected;
        let expected = (body_type, body.to_owned(), truncated, size);
        assert_eq!(outcome(HTML_BODY, HTML, &form), expected, "{preferences:?}");
        assert!(!outcome(HTML_BODY, HTML, &form.whole()).2);
    }
}

#[test]
fn a_preview_is_plain_text_of_that_many_characters() {
    let form = Form {
        preferences: vec![BodyPreference {
            preview: Some(4),
            ..prefers(HTML, Some(0), false)
        }],
        ..Form::default()
    };
    let email = formed(HTML_BODY, HTML, &form, ProtocolVersion::V14_1);
    assert_eq!(
        (&*email.preview, email.native_body_type),
        ("Grüß", Some(HTML))
    );
}

#[test]
fn version_2_5_takes_plain_text_or_mime() {
    let form = Form {
        preferences: vec![prefers(PLAIN, Some(3), false)],
        mime_size: Some(2),
        ..Form::default()
    };
    let plain = formed(HTML_BODY, HTML, &form, ProtocolVersion::V2_5);
    assert_eq!(
        (plain.body_type, &*plain.body, plain.truncated),
        (PLAIN, "Gr", true)
    );
    let form = Form {
        mime_support: Some(FOR_ALL),
        ..form
    };
    let mime = formed(HTML_BODY, HTML, &form, ProtocolVersion::V2_5);
    assert_eq!(
        (mime.body_type, &*mime.body, mime.truncated),
        (MIME, "To", true)
    );
}

#[test]
fn bodies_of_every_form_are_cut_to_the_room_of_the_answer() {
    for (body_type, left) in [(PLAIN, 9), (HTML, 9), (RTF, 8), (MIME, 9)] {
        let form = Form {
            preferences: vec![prefers(body_type, None, false)],
            ..Form::default()
        };
        let mut email = Email {
            body: "&".repeat(20).into(),
            body_type: PLAIN,
            ..Email::default()
        };
        let mut body_room = 9;
        let mime = (body_type == MIME).then_some("To: someone\r\n\r\ntext");
        form.apply(&mut email, mime, ProtocolVersion::V14_1, &mut body_room);
        let outcome = (email.body_type, email.body.len(), email.truncated);
        assert_eq!(outcome, (body_type, left, true));
        assert_eq!(body_room, 9 - left);
    }
}

#[test]
fn types_exist_and_are_named_once() {
    for (types, support, valid) in [
        (&[][..], None, true),
        (&[PLAIN, HTML, RTF, MIME], Some(FOR_ALL), true),
        (&[0], None, false),
        (&[5], None, false),
        (&[HTML, PLAIN, HTML], None, false),
        (&[HTML], Some(3), false),
    ] {
        let form = Form {
            preferences: types.iter().map(|one| prefers(*one, None, false)).collect(),
            mime_support: support,
            ..Form::default()
        };
        assert_eq!(form.check().is_ok(), valid, "{types:?} {support:?}");
    }
}
