import type { Kind, Rule } from './types';

/** What the page of points says; part of the board's dictionary. */
export interface PointsMessages {
  title: string;
  link: string;
  heading: string;
  headingOf: (name: string) => string;
  lead: string;
  goneUser: string;
  kinds: Record<Kind, string>;
  balance: string;
  balanceIs: (points: string) => string;
  transactions: (count: string) => string;
  overdraft: (limit: string) => string;
  accountId: string;
  copyId: string;
  copied: string;
  own: string;
  loading: string;
  signedOut: string;
  forbidden: string;
  notFound: string;
  switchedOff: string;
  unreadable: string;
  retry: string;
  history: string;
  filters: string;
  filterKinds: string;
  filterActor: string;
  filterActorHint: string;
  filterFrom: string;
  filterTo: string;
  clearFilters: string;
  onlyOf: (name: string) => string;
  empty: string;
  emptyOwn: string;
  emptyFiltered: string;
  older: string;
  loadingOlder: string;
  allShown: string;
  by: (name: string) => string;
  byNobody: string;
  byRule: string;
  given: Record<Rule, string>;
  takenBack: Record<Rule, string>;
  takesBack: (sequence: string) => string;
  after: string;
  limitSet: (limit: string) => string;
  balanceAt: string;
  moment: string;
  show: string;
  balanceThen: (points: string, moment: string) => string;
  other: string;
  otherLabel: string;
  otherHint: string;
  open: string;
  add: string;
  addWhat: string;
  amount: string;
  amountHint: string;
  adjustmentHint: string;
  reason: string;
  submit: Record<'ADD_POINTS' | 'DEDUCT_POINTS' | 'REDEEM' | 'ADJUSTMENT', string>;
  sending: string;
  booked: (amount: string, balance: string) => string;
  bookedBefore: (amount: string, balance: string) => string;
  insufficient: (balance: string, limit: string | null) => string;
  conflict: string;
  unanswered: (amount: string, reason: string) => string;
  unansweredHint: string;
  drop: string;
}

export const en: PointsMessages = {
  title: 'tally · points',
  link: 'Points',
  heading: 'Your points',
  headingOf: (name) => `Points of ${name}`,
  lead: 'Every entry of the ledger, as it happens. The balance is what they add up to.',
  goneUser: 'a user who is gone',
  kinds: {
    ADD_POINTS: 'Award',
    DEDUCT_POINTS: 'Deduction',
    REDEEM: 'Redemption',
    ADJUSTMENT: 'Adjustment',
    REVERSAL: 'Reversal',
    OVERDRAFT_LIMIT: 'Overdraft limit',
  },
  balance: 'Balance',
  balanceIs: (points) => `The balance is ${points}.`,
  transactions: (count) => (count === '1' ? '1 entry' : `${count} entries`),
  overdraft: (limit) => `may go ${limit} below zero`,
  accountId: 'User id',
  copyId: 'Copy the user id',
  copied: 'Copied',
  own: 'Your own account',
  loading: 'Loading the account',
  signedOut: 'Sign in to see your points.',
  forbidden: 'The accounts of others are for teachers and above.',
  notFound: 'There is no user with this id.',
  switchedOff: 'This server keeps no points.',
  unreadable: 'The account could not be read',
  retry: 'Try again',
  history: 'History',
  filters: 'Filters',
  filterKinds: 'Kinds',
  filterActor: 'By whom (user id)',
  filterActorHint: 'Or choose a name in the list below.',
  filterFrom: 'From',
  filterTo: 'Before',
  clearFilters: 'Clear filters',
  onlyOf: (name) => `Only what ${name} did`,
  empty: 'Nothing in this ledger yet.',
  emptyOwn: 'Nothing yet. What a teacher awards you appears here at once.',
  emptyFiltered: 'Nothing matches these filters.',
  older: 'Show older entries',
  loadingOlder: 'Loading…',
  allShown: 'That is all.',
  by: (name) => `by ${name}`,
  byNobody: 'by a user who is gone',
  byRule: 'by a rule',
  given: {
    LIKE: 'Somebody liked a work',
    FAVORITE: 'Somebody has a work as a favorite',
    COMMENT: 'Somebody commented on a work',
    SHARE: 'Somebody shared a work',
  },
  takenBack: {
    LIKE: 'A like was taken back',
    FAVORITE: 'A favorite was taken back',
    COMMENT: 'A comment was deleted',
    SHARE: 'A share was taken back',
  },
  takesBack: (sequence) => `takes back no. ${sequence}`,
  after: 'balance',
  limitSet: (limit) => `to ${limit}`,
  balanceAt: 'Balance at a moment',
  moment: 'Moment',
  show: 'Show',
  balanceThen: (points, moment) => `${points} on ${moment}`,
  other: 'Another account',
  otherLabel: 'User id',
  otherHint: 'Begins with user_; it is on the page of its owner.',
  open: 'Open',
  add: 'Award or deduct',
  addWhat: 'What to do',
  amount: 'Points',
  amountHint: 'A whole number above 0.',
  adjustmentHint: 'A whole number with its sign, not 0.',
  reason: 'Reason',
  submit: {
    ADD_POINTS: 'Award',
    DEDUCT_POINTS: 'Deduct',
    REDEEM: 'Redeem',
    ADJUSTMENT: 'Adjust',
  },
  sending: 'Booking…',
  booked: (amount, balance) => `Booked: ${amount}. The balance is ${balance}.`,
  bookedBefore: (amount, balance) =>
    `${amount} had been booked already and was not booked again. The balance is ${balance}.`,
  insufficient: (balance, limit) =>
    `Not enough points: the balance is ${balance}${limit === null ? '' : ` and may go ${limit} below zero`}. Nothing was booked.`,
  conflict:
    'The server knows this request with another content, or took it back before. Nothing was booked.',
  unanswered: (amount, reason) => `No answer yet to: ${amount}, “${reason}”.`,
  unansweredHint: 'It may have been booked. Trying again is safe: it counts once at most.',
  drop: 'Put aside',
};

export const zh: PointsMessages = {
  title: 'tally · 积分',
  link: '积分',
  heading: '我的积分',
  headingOf: (name) => `${name} 的积分`,
  lead: '账本中的每一笔记录都实时显示，余额就是它们的总和。',
  goneUser: '已注销的用户',
  kinds: {
    ADD_POINTS: '奖励',
    DEDUCT_POINTS: '扣减',
    REDEEM: '兑换',
    ADJUSTMENT: '调整',
    REVERSAL: '冲销',
    OVERDRAFT_LIMIT: '透支额度',
  },
  balance: '余额',
  balanceIs: (points) => `余额为 ${points}。`,
  transactions: (count) => `共 ${count} 笔`,
  overdraft: (limit) => `最多可透支 ${limit}`,
  accountId: '用户 ID',
  copyId: '复制用户 ID',
  copied: '已复制',
  own: '我自己的账户',
  loading: '正在加载账户',
  signedOut: '登录后即可查看自己的积分。',
  forbidden: '只有教师及以上角色才能查看他人的账户。',
  notFound: '没有这个 ID 的用户。',
  switchedOff: '这台服务器未启用积分功能。',
  unreadable: '无法读取账户',
  retry: '重试',
  history: '历史记录',
  filters: '筛选',
  filterKinds: '类型',
  filterActor: '操作人（用户 ID）',
  filterActorHint: '也可以点击下方列表中的姓名。',
  filterFrom: '开始时间',
  filterTo: '截止时间（不含）',
  clearFilters: '清除筛选',
  onlyOf: (name) => `只看 ${name} 的操作`,
  empty: '账本中还没有记录。',
  emptyOwn: '还没有记录。老师奖励的积分会立刻出现在这里。',
  emptyFiltered: '没有符合筛选条件的记录。',
  older: '显示更早的记录',
  loadingOlder: '加载中…',
  allShown: '已显示全部记录。',
  by: (name) => `操作人：${name}`,
  byNobody: '操作人：已注销的用户',
  byRule: '按规则自动记账',
  given: {
    LIKE: '作品收到点赞',
    FAVORITE: '作品被收藏',
    COMMENT: '作品收到评论',
    SHARE: '作品被分享',
  },
  takenBack: {
    LIKE: '点赞已取消',
    FAVORITE: '收藏已取消',
    COMMENT: '评论已删除',
    SHARE: '分享已撤回',
  },
  takesBack: (sequence) => `冲销第 ${sequence} 笔`,
  after: '余额',
  limitSet: (limit) => `设为 ${limit}`,
  balanceAt: '查询某一时刻的余额',
  moment: '时间',
  show: '查询',
  balanceThen: (points, moment) => `${moment} 的余额：${points}`,
  other: '查看其他账户',
  otherLabel: '用户 ID',
  otherHint: '以 user_ 开头，可在对方的积分页面上找到。',
  open: '打开',
  add: '奖励或扣减积分',
  addWhat: '操作',
  amount: '积分数',
  amountHint: '大于 0 的整数。',
  adjustmentHint: '带正负号的整数，不能为 0。',
  reason: '原因',
  submit: { ADD_POINTS: '奖励', DEDUCT_POINTS: '扣减', REDEEM: '兑换', ADJUSTMENT: '调整' },
  sending: '正在记账…',
  booked: (amount, balance) => `已记账：${amount}，余额为 ${balance}。`,
  bookedBefore: (amount, balance) => `${amount} 此前已经记账，没有重复记账。余额为 ${balance}。`,
  insufficient: (balance, limit) =>
    `积分不足：余额为 ${balance}${limit === null ? '' : `，最多可透支 ${limit}`}。本次未记账。`,
  conflict: '服务器上已有内容不同的同一请求，本次未记账。',
  unanswered: (amount, reason) => `尚未收到答复：${amount}，“${reason}”。`,
  unansweredHint: '它可能已经记账。可以放心重试：最多只会记一次。',
  drop: '放弃',
};
