// Compares the offsets of layout.ts with those that the compiler's rules give the declarations of C structures.

import { assertLayout } from '../native/abi.js';
import { koffi } from '../native/koffi.js';
import {
  BUF,
  CQE_WORDS,
  EPOLL_EVENT,
  IO_EVENT,
  IOCB,
  IOVEC,
  MMSGHDR,
  MSGHDR,
  PARAMS,
  RECVMSG_OUT,
  SQE_WORDS,
} from './layout.js';

/** Throws an AssertionError when a structure does not lie in memory as the code believes. */
export function assertLinuxLayout(): void {
  const { struct, pack, array } = koffi();
  const sqOffsets = struct({
    head: 'uint32_t',
    tail: 'uint32_t',
    ring_mask: 'uint32_t',
    ring_entries: 'uint32_t',
    flags: 'uint32_t',
    dropped: 'uint32_t',
    array: 'uint32_t',
    resv1: 'uint32_t',
    user_addr: 'uint64_t',
  });
  const cqOffsets = struct({
    head: 'uint32_t',
    tail: 'uint32_t',
    ring_mask: 'uint32_t',
    ring_entries: 'uint32_t',
    overflow: 'uint32_t',
    cqes: 'uint32_t',
    flags: 'uint32_t',
    resv1: 'uint32_t',
    user_addr: 'uint64_t',
  });
  const params = struct({
    sq_entries: 'uint32_t',
    cq_entries: 'uint32_t',
    flags: 'uint32_t',
    sq_thread_cpu: 'uint32_t',
    sq_thread_idle: 'uint32_t',
    features: 'uint32_t',
    wq_fd: 'uint32_t',
    resv: array('uint32_t', 3),
    sq_off: sqOffsets,
    cq_off: cqOffsets,
  });
  assertLayout('struct io_sqring_offsets', sqOffsets, {
    size: 40,
    offsets: {
      head: PARAMS.sqHead - 40,
      tail: PARAMS.sqTail - 40,
      ring_mask: PARAMS.sqMask - 40,
      flags: PARAMS.sqFlags - 40,
      array: PARAMS.sqArray - 40,
    },
  });
  assertLayout('struct io_cqring_offsets', cqOffsets, {
    size: 40,
    offsets: {
      head: PARAMS.cqHead - 80,
      tail: PARAMS.cqTail - 80,
      ring_mask: PARAMS.cqMask - 80,
      cqes: PARAMS.cqCqes - 80,
      flags: PARAMS.cqFlags - 80,
    },
  });
  assertLayout('struct io_uring_params', params, {
    size: PARAMS.size,
    offsets: {
      sq_entries: PARAMS.sqEntries,
      cq_entries: PARAMS.cqEntries,
      flags: PARAMS.flags,
      features: PARAMS.features,
      sq_off: 40,
      cq_off: 80,
    },
  });
  const sqe = struct({
    opcode: 'uint8_t',
    flags: 'uint8_t',
    ioprio: 'uint16_t',
    fd: 'int32_t',
    off: 'uint64_t',
    addr: 'uint64_t',
    len: 'uint32_t',
    op_flags: 'uint32_t',
    user_data: 'uint64_t',
    buf_group: 'uint16_t',
    personality: 'uint16_t',
    splice_fd_in: 'int32_t',
    addr3: 'uint64_t',
    pad2: 'uint64_t',
  });
  assertLayout('struct io_uring_sqe', sqe, {
    size: SQE_WORDS * 4,
    offsets: { ioprio: 2, fd: 4, off: 8, addr: 16, len: 24, op_flags: 28, user_data: 32, buf_group: 40 },
  });
  const cqe = struct({ user_data: 'uint64_t', res: 'int32_t', flags: 'uint32_t' });
  assertLayout('struct io_uring_cqe', cqe, { size: CQE_WORDS * 4, offsets: { user_data: 0, res: 8, flags: 12 } });
  const buf = struct({ addr: 'uint64_t', len: 'uint32_t', bid: 'uint16_t', resv: 'uint16_t' });
  assertLayout('struct io_uring_buf', buf, { size: BUF.size, offsets: { bid: BUF.bid16 * 2, resv: BUF.tail16 * 2 } });
  const msghdr = struct({
    msg_name: 'void *',
    msg_namelen: 'uint32_t',
    msg_iov: 'void *',
    msg_iovlen: 'size_t',
    msg_control: 'void *',
    msg_controllen: 'size_t',
    msg_flags: 'int',
  });
  assertLayout('struct msghdr', msghdr, {
    size: MSGHDR.size,
    offsets: {
      msg_namelen: MSGHDR.namelen,
      msg_iov: MSGHDR.iov,
      msg_iovlen: MSGHDR.iovlen,
      msg_flags: MSGHDR.flags,
    },
  });
  const mmsghdr = struct({ msg_hdr: msghdr, msg_len: 'uint32_t' });
  assertLayout('struct mmsghdr', mmsghdr, { size: MMSGHDR.size, offsets: { msg_len: MMSGHDR.length } });
  const out = struct({ namelen: 'uint32_t', controllen: 'uint32_t', payloadlen: 'uint32_t', flags: 'uint32_t' });
  assertLayout('struct io_uring_recvmsg_out', out, { size: RECVMSG_OUT.size, offsets: { flags: RECVMSG_OUT.flags } });
  const iocb = struct({
    data: 'uint64_t',
    key: 'uint32_t',
    rw_flags: 'int32_t',
    opcode: 'uint16_t',
    reqprio: 'int16_t',
    fd: 'uint32_t',
    buffer: 'uint64_t',
    bytes: 'uint64_t',
    offset: 'int64_t',
    reserved2: 'uint64_t',
    flags: 'uint32_t',
    resfd: 'uint32_t',
  });
  const { size: iocbSize, ...iocbOffsets } = IOCB;
  assertLayout('struct iocb', iocb, { size: iocbSize, offsets: iocbOffsets });
  const ioEvent = struct({ data: 'uint64_t', obj: 'uint64_t', result: 'int64_t', result2: 'int64_t' });
  const { size: ioEventSize, ...ioEventOffsets } = IO_EVENT;
  assertLayout('struct io_event', ioEvent, { size: ioEventSize, offsets: ioEventOffsets });
  const event = (process.arch === 'x64' ? pack : struct)({ events: 'uint32_t', data: 'uint64_t' });
  assertLayout('struct epoll_event', event, { size: EPOLL_EVENT.size, offsets: { events: 0, data: EPOLL_EVENT.data } });
  const iovec = struct({ iov_base: 'void *', iov_len: 'size_t' });
  assertLayout('struct iovec', iovec, { size: IOVEC.size, offsets: { iov_base: IOVEC.base, iov_len: IOVEC.len } });
}
