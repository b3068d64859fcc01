//! Items with every field set.

use eas::commands::*;

fn recurrence(until: &'static str) -> Recurrence<'static> {
    Recurrence {
        kind: 3,
        interval: Some(1),
        occurrences: Some(12),
        until: Some(until.into()),
        day_of_week: Some(2),
        day_of_month: Some(14),
        week_of_month: Some(2),
        month_of_year: Some(3),
    }
}

pub(super) fn email(subject: &'static str) -> ItemData<'static> {
    let meeting = MeetingRequest {
        start: "2026-03-14T03:00:00.000Z".into(),
        end: "2026-03-14T04:00:00.000Z".into(),
        dt_stamp: "2026-03-13T03:00:00.000Z".into(),
        organizer: "\"Load 2\" <load2@lab.example>".into(),
        location: "Room 1".into(),
        global_obj_id: "BAAAAIIA4AB0xbcQGoLgCAAAAAA=".into(),
        instance_type: 1,
        recurrence_id: "2026-03-14T03:00:00.000Z".into(),
        recurrence: Some(recurrence("2026-12-31T00:00:00.000Z")),
        all_day: true,
        response_requested: true,
        busy_status: 2,
        sensitivity: 0,
        reminder: Some(15),
        timezone: UTC_TIME_ZONE.into(),
    };
    ItemData::Email(Box::new(Email {
        from: "\"Load 2\" <load2@lab.example>".into(),
        to: "load1@lab.example".into(),
        cc: "load3@lab.example".into(),
        subject: subject.into(),
        date_received: "2026-03-14T03:00:00.000Z".into(),
        read: false,
        importance: Some(2),
        message_class: "IPM.Schedule.Meeting.Request".into(),
        flag: Some(Flag {
            status: FlagStatus::Complete,
            flag_type: "Follow up".into(),
            completed: "2026-03-15T03:00:00.000Z".into(),
        }),
        attachments: vec![Attachment {
            display_name: "report.pdf".into(),
            file_reference: "5%3a1%3a0".into(),
            size: 1234,
        }],
        meeting: Some(Box::new(meeting)),
        body: "Grüße & <Küsse>\r\nzweite Zeile".into(),
        body_type: 1,
        truncated: true,
        estimated_size: Some(5000),
        preview: "Grüße".into(),
        native_body_type: Some(2),
        bcc: "load4@lab.example".into(),
        is_draft: true,
        attachment_changes: vec![
            AttachmentChange::Add {
                client_id: "a1".into(),
                display_name: "new.pdf".into(),
                content_type: "application/pdf".into(),
                content: b"PDF"[..].into(),
            },
            AttachmentChange::Delete {
                file_reference: "5%3a1%3a1".into(),
            },
        ],
        part: Some(Box::new(BodyPart {
            status: BodyPart::SUCCESS,
            body: Body {
                body_type: BodyPart::TYPE,
                truncated: true,
                estimated_size: Some(5000),
                preview: "Grüße".into(),
                ..Body::from("<b>Grüße")
            },
        })),
    }))
}

/// A message whose body is MIME, which 2.5 has elements of its own for.
pub(super) fn mime_email() -> ItemData<'static> {
    ItemData::Email(Box::new(Email {
        subject: "mime".into(),
        body: "Subject: mime\r\n\r\ntext".into(),
        body_type: 4,
        ..Email::default()
    }))
}

pub(super) fn appointment() -> ItemData<'static> {
    ItemData::Calendar(Box::new(Appointment {
        uid: "040000008200E00074C5B7101A82E008".into(),
        subject: "Planning".into(),
        start: "20260314T030000Z".into(),
        end: "20260314T040000Z".into(),
        dt_stamp: "20260313T030000Z".into(),
        location: "Room 1".into(),
        organizer_name: "Load 2".into(),
        organizer_email: "load2@lab.example".into(),
        all_day: false,
        busy_status: 2,
        sensitivity: 0,
        meeting_status: 1,
        reminder: Some(15),
        timezone: UTC_TIME_ZONE.into(),
        attendees: vec![Attendee {
            email: "load3@lab.example".into(),
            name: "Load 3".into(),
        }],
        recurrence: Some(recurrence("20261231T000000Z")),
        body: Body {
            truncated: true,
            estimated_size: Some(700),
            body_type: 2,
            preview: "Age".into(),
            ..Body::from("<b>Agenda")
        },
    }))
}

pub(super) fn contact() -> ItemData<'static> {
    ItemData::Contact(Box::new(Contact {
        first_name: "Ada".into(),
        last_name: "Lovelace".into(),
        file_as: "Lovelace, Ada".into(),
        company: "Analytical".into(),
        job_title: "Engineer".into(),
        email1: "ada@lab.example".into(),
        email2: "ada2@lab.example".into(),
        email3: "ada3@lab.example".into(),
        business_phone: "+44 1".into(),
        home_phone: "+44 2".into(),
        mobile_phone: "+44 3".into(),
        business_street: "1 St James's Square".into(),
        business_city: "London".into(),
        business_state: "Greater London".into(),
        business_postal_code: "SW1Y".into(),
        business_country: "UK".into(),
        body: "Notes on the engine".into(),
    }))
}

pub(super) fn task() -> ItemData<'static> {
    ItemData::Task(Box::new(Task {
        subject: "Report".into(),
        complete: true,
        date_completed: "2026-03-14T00:00:00.000Z".into(),
        importance: 1,
        sensitivity: 2,
        utc_start_date: "2026-03-12T00:00:00.000Z".into(),
        start_date: "2026-03-12T01:00:00.000Z".into(),
        utc_due_date: "2026-03-15T00:00:00.000Z".into(),
        due_date: "2026-03-15T01:00:00.000Z".into(),
        reminder_time: "2026-03-14T08:00:00.000Z".into(),
        recurrence: Some(recurrence("2026-12-31T00:00:00.000Z")),
        body: "Monthly figures".into(),
    }))
}

pub(super) fn note() -> ItemData<'static> {
    ItemData::Note(Box::new(Note {
        subject: "Shopping".into(),
        last_modified: "20260314T030000Z".into(),
        body: "Milk".into(),
    }))
}

pub(super) fn oof() -> Oof<'static> {
    let messages = OofAudience::ALL.map(|audience| OofMessage {
        audience,
        enabled: audience == OofAudience::Internal,
        reply: "Away until Monday".into(),
        body_type: "TEXT".into(),
    });
    Oof {
        state: OofState::TimeBased,
        start: Some("2026-03-14T03:00:00.000Z".into()),
        end: Some("2026-03-16T03:00:00.000Z".into()),
        messages: messages.into(),
    }
}
