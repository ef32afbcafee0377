/**
 * Numbers of Linux's system calls, from `asm/unistd_64.h` of x86-64 and `asm-generic/unistd.h`, which aarch64 uses.
 * @module
 */

/** An architecture that Deno is built for. */
export type Architecture = typeof Deno.build.arch;

/** Numbers of a call by architecture, `null` where it does not exist. */
export type CallNumbers = readonly [x86_64: number | null, aarch64: number | null];

/** Calls that are refused whatever their arguments are. Deno makes none of them after its start. */
export const REFUSED_CALLS = {
  // Signals and other processes.
  kill: [62, 129],
  tkill: [200, 130],
  rt_sigqueueinfo: [129, 138],
  rt_tgsigqueueinfo: [297, 240],
  pidfd_open: [434, 434],
  pidfd_send_signal: [424, 424],
  pidfd_getfd: [438, 438],
  ptrace: [101, 117],
  process_vm_readv: [310, 270],
  process_vm_writev: [311, 271],
  process_madvise: [440, 440],
  process_mrelease: [448, 448],
  kcmp: [312, 272],
  fork: [57, null],
  vfork: [58, null],
  execveat: [322, 281],
  setpgid: [109, 154],
  setsid: [112, 157],
  // Mounts and namespaces.
  mount: [165, 40],
  umount2: [166, 39],
  pivot_root: [155, 41],
  chroot: [161, 51],
  open_tree: [428, 428],
  move_mount: [429, 429],
  fsopen: [430, 430],
  fsconfig: [431, 431],
  fsmount: [432, 432],
  fspick: [433, 433],
  mount_setattr: [442, 442],
  statmount: [457, 457],
  listmount: [458, 458],
  unshare: [272, 97],
  setns: [308, 268],
  // Rings and other ways around this filter, and large parts of the kernel that nothing here needs.
  io_uring_setup: [425, 425],
  io_uring_enter: [426, 426],
  io_uring_register: [427, 427],
  io_setup: [206, 0],
  io_destroy: [207, 1],
  io_submit: [209, 2],
  io_cancel: [210, 3],
  io_getevents: [208, 4],
  io_pgetevents: [333, 292],
  bpf: [321, 280],
  perf_event_open: [298, 241],
  userfaultfd: [323, 282],
  seccomp: [317, 277],
  landlock_create_ruleset: [444, 444],
  landlock_add_rule: [445, 445],
  landlock_restrict_self: [446, 446],
  lsm_get_self_attr: [459, 459],
  lsm_set_self_attr: [460, 460],
  lsm_list_modules: [461, 461],
  // Keys.
  add_key: [248, 217],
  request_key: [249, 218],
  keyctl: [250, 219],
  // Ids and rights.
  setuid: [105, 146],
  setgid: [106, 144],
  setreuid: [113, 145],
  setregid: [114, 143],
  setresuid: [117, 147],
  setresgid: [119, 149],
  setfsuid: [122, 151],
  setfsgid: [123, 152],
  setgroups: [116, 159],
  capset: [126, 91],
  personality: [135, 92],
  // The machine: modules, kernels, clocks, swap, accounting, ports.
  init_module: [175, 105],
  finit_module: [313, 273],
  delete_module: [176, 106],
  create_module: [174, null],
  get_kernel_syms: [177, null],
  query_module: [178, null],
  kexec_load: [246, 104],
  kexec_file_load: [320, 294],
  reboot: [169, 142],
  swapon: [167, 224],
  swapoff: [168, 225],
  acct: [163, 89],
  quotactl: [179, 60],
  quotactl_fd: [443, 443],
  nfsservctl: [180, 42],
  syslog: [103, 116],
  vhangup: [153, 58],
  sethostname: [170, 161],
  setdomainname: [171, 162],
  settimeofday: [164, 170],
  clock_settime: [227, 112],
  adjtimex: [159, 171],
  clock_adjtime: [305, 266],
  iopl: [172, null],
  ioperm: [173, null],
  modify_ldt: [154, null],
  _sysctl: [156, null],
  uselib: [134, null],
  ustat: [136, null],
  sysfs: [139, null],
  lookup_dcookie: [212, 18],
  vserver: [236, null],
  afs_syscall: [183, null],
  tuxcall: [184, null],
  security: [185, null],
  getpmsg: [181, null],
  putpmsg: [182, null],
  // Files by handle, devices, watches of whole file systems.
  name_to_handle_at: [303, 264],
  open_by_handle_at: [304, 265],
  mknod: [133, null],
  mknodat: [259, 33],
  fanotify_init: [300, 262],
  fanotify_mark: [301, 263],
  // Memory that is hidden, executable without a file, shared by pipes, or placed by node.
  memfd_create: [319, 279],
  memfd_secret: [447, 447],
  vmsplice: [278, 75],
  splice: [275, 76],
  tee: [276, 77],
  remap_file_pages: [216, 234],
  mbind: [237, 235],
  set_mempolicy: [238, 237],
  set_mempolicy_home_node: [450, 450],
  get_mempolicy: [239, 236],
  migrate_pages: [256, 238],
  move_pages: [279, 239],
  // Inter-process communication of System V and POSIX.
  shmget: [29, 194],
  shmat: [30, 196],
  shmctl: [31, 195],
  shmdt: [67, 197],
  semget: [64, 190],
  semop: [65, 193],
  semctl: [66, 191],
  semtimedop: [220, 192],
  msgget: [68, 186],
  msgsnd: [69, 189],
  msgrcv: [70, 188],
  msgctl: [71, 187],
  mq_open: [240, 180],
  mq_unlink: [241, 181],
  mq_timedsend: [242, 182],
  mq_timedreceive: [243, 183],
  mq_notify: [244, 184],
  mq_getsetattr: [245, 185],
  // Its own weight against that of others.
  setpriority: [141, 140],
  ioprio_set: [251, 30],
  sched_setscheduler: [144, 119],
  sched_setparam: [142, 118],
  sched_setattr: [314, 274],
  sched_setaffinity: [203, 122],
} as const satisfies Readonly<Record<string, CallNumbers>>;

/** Calls that a server makes and a client does not. */
export const SERVER_CALLS = {
  bind: [49, 200],
  listen: [50, 201],
  accept: [43, 202],
  accept4: [288, 242],
} as const satisfies Readonly<Record<string, CallNumbers>>;

/** Calls whose arguments decide. */
export const JUDGED_CALLS = {
  socket: [41, 198],
  socketpair: [53, 199],
  clone: [56, 220],
  clone3: [435, 435],
  ioctl: [16, 29],
  prctl: [157, 167],
  tgkill: [234, 131],
} as const satisfies Readonly<Record<string, CallNumbers>>;

/** A range of numbers, the end excluded. */
export interface NumberRange {
  readonly from: number;
  readonly to: number;
}

/**
 * Numbers that no call of Linux 6.10 has, the last of which is `mseal`: those that a later kernel gives to something
 * new, and the gap that keeps architectures in step, which later kernels have begun to fill too (`uretprobe`).
 */
export const UNKNOWN_NUMBERS: readonly [x86_64: readonly NumberRange[], aarch64: readonly NumberRange[]] = [
  [{ from: 335, to: 424 }, { from: 463, to: 2 ** 32 }],
  [{ from: 295, to: 424 }, { from: 463, to: 2 ** 32 }],
];
