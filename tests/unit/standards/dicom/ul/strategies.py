"""Valid PDUs of every shape, for property tests of the upper layer."""

from hypothesis import strategies as st

from isocenter.standards.dicom.ul import items, pdu

uids = st.lists(st.integers(0, 10**9), min_size=2, max_size=6).map(
    lambda parts: ".".join(str(part) for part in parts)
)
ae_titles = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="\\"),
    min_size=1,
    max_size=16,
)
bodies = st.binary(max_size=64)

user_information = st.builds(
    items.UserInformation,
    maximum_length_bytes=st.integers(0, 2**32 - 1),
    implementation_class_uid=uids,
    implementation_version_name=st.one_of(st.just(""), ae_titles),
    asynchronous_operations=st.none()
    | st.builds(items.AsynchronousOperationsWindow, st.integers(0, 65535), st.integers(0, 65535)),
    roles=st.lists(
        st.builds(items.RoleSelection, uids, scu=st.booleans(), scp=st.booleans()), max_size=3
    ).map(tuple),
    extended=st.lists(st.builds(items.SopClassExtendedNegotiation, uids, bodies), max_size=2).map(
        tuple
    ),
    common_extended=st.lists(
        st.builds(
            items.SopClassCommonExtendedNegotiation,
            uids,
            uids,
            st.lists(uids, max_size=3).map(tuple),
        ),
        max_size=2,
    ).map(tuple),
    user_identity=st.none()
    | st.builds(
        items.UserIdentity, st.sampled_from([1, 3, 4, 5]), bodies, response_requested=st.booleans()
    )
    | st.builds(items.UserIdentity, st.just(2), bodies, bodies, st.booleans()),
    user_identity_response=st.none() | bodies,
)
context_ids = st.integers(0, 127).map(lambda number: 2 * number + 1)
proposed_contexts = st.lists(
    st.builds(
        pdu.ProposedContext,
        context_ids,
        uids,
        st.lists(uids, min_size=1, max_size=4).map(tuple),
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda context: context.context_id,
).map(tuple)
answered_contexts = st.lists(
    st.builds(pdu.AnsweredContext, context_ids, st.integers(0, 4), uids),
    max_size=5,
    unique_by=lambda context: context.context_id,
).map(tuple)
associate_requests = st.builds(
    pdu.AssociateRequest,
    ae_titles,
    ae_titles,
    proposed_contexts,
    user_information,
    application_context=uids,
    protocol_version=st.integers(0, 65535),
    reserved=st.binary(min_size=32, max_size=32),
)
associate_accepts = st.builds(
    pdu.AssociateAccept,
    ae_titles,
    ae_titles,
    answered_contexts,
    user_information,
    application_context=uids,
    reserved=st.binary(min_size=32, max_size=32),
)
bytes_ = st.integers(0, 255)
values = st.builds(
    pdu.PresentationDataValue, bytes_, st.booleans(), st.booleans(), st.binary(max_size=200)
)
p_datas = st.builds(pdu.PData, st.lists(values, min_size=1, max_size=4).map(tuple))
pdus = st.one_of(
    associate_requests,
    associate_accepts,
    st.builds(pdu.AssociateReject, bytes_, bytes_, bytes_),
    p_datas,
    st.just(pdu.ReleaseRequest()),
    st.just(pdu.ReleaseResponse()),
    st.builds(pdu.Abort, bytes_, bytes_),
)
