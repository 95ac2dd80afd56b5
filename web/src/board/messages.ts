import { en as pointsEn, zh as pointsZh, type PointsMessages } from './points/messages';
import type { HotnessCause, Level } from './types';

/**
 * Everything the board says. `Messages` is the shape of the dictionary: a string that lacks a
 * translation, or a translation of a string that is gone, does not compile.
 */
export interface Messages {
  title: string;
  link: string;
  heading: string;
  lead: string;
  tabs: Record<'ALL' | 'ARTWORK' | 'VIDEO', string>;
  tabsLabel: string;
  levels: Record<Level, string>;
  causes: Record<HotnessCause, string>;
  by: (name: string) => string;
  unknownAuthor: string;
  video: string;
  score: string;
  trend: (title: string) => string;
  like: (title: string, count: number) => string;
  favorite: (title: string, count: number) => string;
  connection: Record<'connecting' | 'live' | 'reconnecting', string>;
  serverGone: string;
  events: (count: string) => string;
  updated: (seconds: number) => string;
  loading: string;
  emptyTitle: string;
  emptyBody: string;
  account: string;
  signIn: string;
  signedInAs: (name: string) => string;
  readOnly: string;
  tokenLabel: string;
  tokenHint: string;
  tokenRejected: string;
  useToken: string;
  anotherDemoUser: string;
  demoTeacher: string;
  signOut: string;
  close: string;
  toLight: string;
  toDark: string;
  otherLanguage: string;
  activity: string;
  activityEmpty: string;
  howHot: string;
  halfLife: (hours: string) => string;
  from: (score: string) => string;
  levelNotes: Record<'NEW' | 'COLD', string>;
  firstQuery: string;
  firstQueryHint: string;
  copy: string;
  copied: string;
  openGraphiql: string;
  failed: (reason: string) => string;
  unreachable: string;
  sessionRenewed: string;
  points: PointsMessages;
}

const en: Messages = {
  title: 'tally · hot right now',
  link: 'Ranking',
  heading: 'Hot right now',
  lead: 'A live ranking: every like moves it, time cools it. Open a second window and like something.',
  tabs: { ALL: 'All', ARTWORK: 'Artworks', VIDEO: 'Videos' },
  tabsLabel: 'What to rank',
  levels: { NEW: 'New', COLD: 'Cold', WARM: 'Warm', HOT: 'Hot', BLAZING: 'Blazing' },
  causes: {
    PUBLISHED: 'was published',
    UNPUBLISHED: 'was taken down',
    LIKED: 'was liked',
    UNLIKED: 'lost a like',
    FAVORITED: 'became a favourite',
    UNFAVORITED: 'lost a favourite',
    COMMENTED: 'got a comment',
    COMMENT_DELETED: 'lost a comment',
    SHARED: 'was shared',
    UNSHARED: 'lost a share',
    VIEWED: 'was looked at',
    COOLED: 'cooled down',
    RECALCULATED: 'was recalculated',
  },
  by: (name) => `by ${name}`,
  unknownAuthor: 'unknown author',
  video: 'Video',
  score: 'Score',
  trend: (title) => `How the score of ${title} developed`,
  like: (title, count) => `Like ${title}, ${count} ${count === 1 ? 'like' : 'likes'}`,
  favorite: (title, count) => `Add ${title} to favourites, in ${count}`,
  connection: { connecting: 'Connecting', live: 'Live', reconnecting: 'Reconnecting' },
  serverGone: 'The server cannot be reached. The board keeps trying.',
  events: (count) => `${count} events`,
  updated: (seconds) => (seconds < 2 ? 'updated just now' : `updated ${ago(seconds)} ago`),
  loading: 'Loading the ranking',
  emptyTitle: 'Nothing here yet',
  emptyBody: 'Publish the first work with the GraphQL API, and it appears here at once.',
  account: 'Who you are',
  signIn: 'Sign in',
  signedInAs: (name) => `You are ${name}.`,
  readOnly: 'You are looking on. To like things, paste a token.',
  tokenLabel: 'Bearer token',
  tokenHint: 'Kept in this browser tab only, and gone when you close it.',
  tokenRejected: 'The server does not accept this token.',
  useToken: 'Use this token',
  anotherDemoUser: 'Become another demo user',
  demoTeacher: 'Become a demo teacher',
  signOut: 'Sign out',
  close: 'Close',
  toLight: 'Switch to the light theme',
  toDark: 'Switch to the dark theme',
  otherLanguage: '切换到中文',
  activity: 'Just happened',
  activityEmpty: 'Quiet for the moment.',
  howHot: 'How hot is hot?',
  halfLife: (hours) => `A score halves every ${hours} hours. Levels start at:`,
  from: (score) => `from ${score}`,
  levelNotes: { NEW: 'just published', COLD: 'below warm' },
  firstQuery: 'Your first query',
  firstQueryHint: 'Everything on this page comes from one GraphQL endpoint.',
  copy: 'Copy as curl',
  copied: 'Copied',
  openGraphiql: 'Open GraphiQL',
  failed: (reason) => `That did not work: ${reason}`,
  unreachable: 'the server cannot be reached',
  sessionRenewed: 'Your session had expired; you have a new one.',
  points: pointsEn,
};

const zh: Messages = {
  title: 'tally · 实时热榜',
  link: '热榜',
  heading: '实时热榜',
  lead: '每一个赞都会推动排名，热度随时间冷却。再开一个窗口，点个赞试试。',
  tabs: { ALL: '全部', ARTWORK: '作品', VIDEO: '视频' },
  tabsLabel: '榜单范围',
  levels: { NEW: '新作', COLD: '冷门', WARM: '升温', HOT: '热门', BLAZING: '爆款' },
  causes: {
    PUBLISHED: '已发布',
    UNPUBLISHED: '已下架',
    LIKED: '获得一个赞',
    UNLIKED: '被取消了一个赞',
    FAVORITED: '被收藏',
    UNFAVORITED: '被取消收藏',
    COMMENTED: '收到一条评论',
    COMMENT_DELETED: '被删除了一条评论',
    SHARED: '被分享',
    UNSHARED: '被撤回了一次分享',
    VIEWED: '被浏览',
    COOLED: '热度下降',
    RECALCULATED: '热度已重新计算',
  },
  by: (name) => `作者：${name}`,
  unknownAuthor: '未知作者',
  video: '视频',
  score: '热度',
  trend: (title) => `《${title}》的热度走势`,
  like: (title, count) => `点赞《${title}》，已有 ${count} 个赞`,
  favorite: (title, count) => `收藏《${title}》，已有 ${count} 次收藏`,
  connection: { connecting: '连接中', live: '实时', reconnecting: '重新连接中' },
  serverGone: '暂时连不上服务器，页面会持续重试。',
  events: (count) => `${count} 个事件`,
  updated: (seconds) => (seconds < 2 ? '刚刚更新' : `${agoZh(seconds)}前更新`),
  loading: '正在加载榜单',
  emptyTitle: '这里还没有内容',
  emptyBody: '用 GraphQL API 发布第一件作品，它会立刻出现在这里。',
  account: '当前身份',
  signIn: '登录',
  signedInAs: (name) => `你是 ${name}。`,
  readOnly: '当前为只读模式。粘贴令牌后即可点赞。',
  tokenLabel: 'Bearer 令牌',
  tokenHint: '只保存在当前标签页中，关闭后即清除。',
  tokenRejected: '服务器不接受这个令牌。',
  useToken: '使用此令牌',
  anotherDemoUser: '换一个演示用户',
  demoTeacher: '换成演示教师',
  signOut: '退出登录',
  close: '关闭',
  toLight: '切换到浅色主题',
  toDark: '切换到深色主题',
  otherLanguage: 'Switch to English',
  activity: '最新动态',
  activityEmpty: '暂时没有动静。',
  howHot: '多热才算热？',
  halfLife: (hours) => `热度每 ${hours} 小时减半。各等级的起点：`,
  from: (score) => `${score} 起`,
  levelNotes: { NEW: '刚刚发布', COLD: '未达升温' },
  firstQuery: '第一个查询',
  firstQueryHint: '这个页面的全部数据都来自同一个 GraphQL 端点。',
  copy: '复制为 curl',
  copied: '已复制',
  openGraphiql: '打开 GraphiQL',
  failed: (reason) => `操作未成功：${reason}`,
  unreachable: '连不上服务器',
  sessionRenewed: '登录已过期，已为你换上新的身份。',
  points: pointsZh,
};

function ago(seconds: number): string {
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min`;
}

function agoZh(seconds: number): string {
  return seconds < 60 ? `${seconds} 秒` : `${Math.floor(seconds / 60)} 分钟`;
}

export const dictionaries = { en, zh };
export type Locale = keyof typeof dictionaries;
